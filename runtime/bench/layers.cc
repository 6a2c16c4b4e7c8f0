#include "layers.h"

namespace alcs {
namespace bench {
namespace {

Layer Depthwise(const char* net, int64_t channels, int64_t kernel, int64_t stride, int64_t size) {
  return {net, channels, channels, kernel, stride, size, channels};
}

Layer AllGroups(Layer layer) {
  layer.all_groups = true;
  return layer;
}

Layer Gated(Layer layer, Gate gate) {
  layer.gate = gate;
  return layer;
}

std::vector<Layer> MakeLayers() {
  std::vector<Layer> layers = {
      // The distinct convolutions of the networks at 224 x 224.
      {"resnet", 3, 64, 7, 2, 224},
      AllGroups({"resnet18", 64, 64, 3, 1, 56}),
      {"resnet18", 64, 128, 3, 2, 56},
      {"resnet18", 64, 128, 1, 2, 56},
      {"resnet18", 128, 128, 3, 1, 28},
      AllGroups({"resnet18", 128, 256, 3, 2, 28}),
      {"resnet18", 128, 256, 1, 2, 28},
      {"resnet18", 256, 256, 3, 1, 14},
      {"resnet18", 256, 512, 3, 2, 14},
      {"resnet18", 256, 512, 1, 2, 14},
      AllGroups({"resnet18", 512, 512, 3, 1, 7}),
      {"resnet50", 64, 64, 1, 1, 56},
      {"resnet50", 64, 256, 1, 1, 56},
      {"resnet50", 256, 64, 1, 1, 56},
      {"resnet50", 256, 128, 1, 1, 56},
      {"resnet50", 128, 128, 3, 2, 56},
      {"resnet50", 256, 512, 1, 2, 56},
      {"resnet50", 512, 128, 1, 1, 28},
      {"resnet50", 128, 512, 1, 1, 28},
      {"resnet50", 512, 1024, 1, 2, 28},
      {"resnet50", 1024, 256, 1, 1, 14},
      AllGroups({"resnet50", 256, 1024, 1, 1, 14}),
      {"resnet50", 1024, 2048, 1, 2, 14},
      {"resnet50", 2048, 512, 1, 1, 7},
      {"resnet50", 512, 2048, 1, 1, 7},
      {"mobilenet", 3, 32, 3, 2, 224},
      {"mobilenet", 32, 64, 1, 1, 112},
      {"mobilenet", 64, 128, 1, 1, 56},
      {"mobilenet", 128, 256, 1, 1, 28},
      AllGroups({"mobilenet", 512, 512, 1, 1, 14}),
      {"mobilenet", 1024, 1024, 1, 1, 7},
      Depthwise("mobilenet", 32, 3, 1, 112),
      Depthwise("mobilenet", 64, 3, 2, 112),
      Depthwise("mobilenet", 128, 3, 1, 56),
      Depthwise("mobilenet", 128, 3, 2, 56),
      Depthwise("mobilenet", 256, 3, 1, 28),
      Depthwise("mobilenet", 256, 3, 2, 28),
      Depthwise("mobilenet", 512, 3, 1, 14),
      Depthwise("mobilenet", 512, 3, 2, 14),
      Depthwise("mobilenet", 1024, 3, 1, 7),
      Depthwise("efficientnet", 240, 5, 1, 28),
      Depthwise("efficientnet", 240, 5, 2, 28),
      Depthwise("efficientnet", 672, 5, 1, 14),
      Depthwise("efficientnet", 672, 5, 2, 14),
      Gated({"mobilenet-v3", 40, 240, 1, 1, 28}, Gate::kHardSwish),
      Gated(Depthwise("mobilenet-v3", 240, 5, 1, 28), Gate::kHardSwish),
      Gated({"efficientnet", 40, 240, 1, 1, 28}, Gate::kSilu),
      Gated(Depthwise("efficientnet", 240, 5, 1, 28), Gate::kSilu),
      Depthwise("convnext", 96, 7, 1, 56),
      Depthwise("convnext", 384, 7, 1, 14),
      Depthwise("ofa", 96, 7, 2, 56),
      // Conv groups.
      {"resnext", 128, 128, 3, 1, 56, 32},
      {"resnext", 512, 512, 3, 2, 28, 32},
      {"regnet", 192, 192, 3, 1, 28, 12},
      // Strides beyond 2, large kernels.
      {"alexnet", 3, 64, 11, 4, 224},
      {"patches", 3, 192, 16, 16, 224},
      {"patches", 96, 192, 4, 4, 56},
      {"alexnet", 64, 192, 5, 1, 27},
      // A fully connected layer: 1 x 1 on one pixel.
      {"gemm", 512, 1000, 1, 1, 1},
      {"gemm", 2048, 1000, 1, 1, 1},
  };
  Layer batched = {"batched", 128, 128, 3, 1, 28};
  batched.batch = 4;
  layers.push_back(batched);
  batched = {"batched", 512, 512, 1, 1, 14};
  batched.batch = 4;
  layers.push_back(batched);
  Layer flat = {"audio", 64, 64, 5, 1, 4000};
  flat.flat = true;
  layers.push_back(flat);
  flat = {"audio", 128, 256, 3, 2, 1000};
  flat.flat = true;
  layers.push_back(flat);
  return layers;
}

}  // namespace

std::string Layer::Name() const {
  std::string name = std::string(net) + "/k" + std::to_string(kernel) + "s" +
                     std::to_string(stride) + "_" + std::to_string(in) + "to" +
                     std::to_string(out) + "_" + std::to_string(size);
  if (flat) name += "_1d";
  if (depthwise()) {
    name += "_dw";
  } else if (group > 1) {
    name += "_groups" + std::to_string(group);
  }
  if (gate != Gate::kNone) name += std::string("_") + InfoOf(gate).name;
  if (batch > 1) name += "_batch" + std::to_string(batch);
  return name;
}

const std::vector<Layer>& Layers() {
  static const std::vector<Layer> layers = MakeLayers();
  return layers;
}

}  // namespace bench
}  // namespace alcs

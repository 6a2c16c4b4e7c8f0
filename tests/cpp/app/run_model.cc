// The smallest application that runs a model with the library in a stock ONNX Runtime.
//
// Usage: alcs_app MODEL LIBRARY
// Fills the model's only input, a float tensor of fixed size, and prints the shape of each
// output and the largest difference between the first output and the others; exits with 1 if
// that is more than rounding. (The test's model computes one convolution in two ways.)

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace {

constexpr float kTolerance = 1e-4F;

int Run(const char* model, const char* library) {
  Ort::Env env;
  Ort::SessionOptions options;
  options.RegisterCustomOpsLibrary(library);
  Ort::Session session(env, model, options);

  const std::vector<int64_t> shape =
      session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();
  std::size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<std::size_t>(size);
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) x[i] = std::sin(static_cast<float>(i));
  const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const Ort::Value input =
      Ort::Value::CreateTensor<float>(memory, x.data(), count, shape.data(), shape.size());

  Ort::AllocatorWithDefaultOptions allocator;
  const auto input_name = session.GetInputNameAllocated(0, allocator);
  const char* input_names[] = {input_name.get()};
  std::vector<Ort::AllocatedStringPtr> names;
  std::vector<const char*> output_names;
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i) {
    names.push_back(session.GetOutputNameAllocated(i, allocator));
    output_names.push_back(names.back().get());
  }
  const std::vector<Ort::Value> outputs = session.Run(Ort::RunOptions(), input_names, &input, 1,
                                                      output_names.data(), output_names.size());

  float worst = 0;
  const float* first = outputs[0].GetTensorData<float>();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto info = outputs[i].GetTensorTypeAndShapeInfo();
    std::printf("%s:", output_names[i]);
    for (const int64_t size : info.GetShape()) std::printf(" %lld", static_cast<long long>(size));
    std::printf("\n");
    const float* other = outputs[i].GetTensorData<float>();
    for (std::size_t j = 0; j < info.GetElementCount(); ++j) {
      worst = std::max(worst, std::abs(first[j] - other[j]));
    }
  }
  std::printf("largest difference: %g\n", static_cast<double>(worst));
  return worst <= kTolerance ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: alcs_app MODEL LIBRARY\n");
    return 2;
  }
  try {
    return Run(argv[1], argv[2]);
  } catch (const Ort::Exception& error) {
    std::fprintf(stderr, "alcs_app: %s\n", error.what());
    return 2;
  }
}

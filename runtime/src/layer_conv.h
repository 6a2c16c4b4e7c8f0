// Convolutions whose plans share a layer: what is packed once, whatever the size of the input.
#ifndef ALCS_SRC_LAYER_CONV_H_
#define ALCS_SRC_LAYER_CONV_H_

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "alcs/conv.h"
#include "depthwise_conv.h"
#include "sizes.h"
#include "tiled_conv.h"

namespace alcs {

// Turns what the standard library throws (only for want of memory) into a Status.
template <class Body>
Status Guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    try {
      return Status::Error(std::string("not enough memory (") + error.what() + ")");
    } catch (...) {
      return Status::Error({});
    }
  }
}

// An error for an instruction set that this build or this CPU does not have.
Status CheckIsa(Isa isa);

// `Base` with plans that LayerPlan::Make makes of a layer, which has the `spec`.
template <class Base, class LayerPlan>
class LayerConv final : public Base {
 public:
  using Layer = typename LayerPlan::Layer;
  explicit LayerConv(Layer&& layer) : layer_(std::make_shared<Layer>(std::move(layer))) {}

  Status Plan(int64_t n, int64_t h, int64_t w,
              std::shared_ptr<const typename LayerPlan::Base>* plan) const override {
    return Guarded([&]() -> Status {
      ConvSizes sizes;
      const Status status = SizesOf(layer_->spec, n, h, w, &sizes);
      return status.ok() ? LayerPlan::Make(layer_, sizes, plan) : status;
    });
  }

 private:
  const std::shared_ptr<const Layer> layer_;
};

// Runs the images of a batch one after another: run(x, residual, y), which are planes of words.
template <class Word, class RunImage>
void ForEachImage(int64_t in_planes, int64_t out_planes, const ConvSizes& sizes, const Word* x,
                  const Word* residual, Word* y, const RunImage& run) {
  const int64_t in_image = in_planes * sizes.in_height * sizes.in_width;
  const int64_t out_image = out_planes * sizes.out_height * sizes.out_width;
  for (int64_t n = 0; n < sizes.batch; ++n, x += in_image, y += out_image) {
    run(x, residual, y);
    if (residual != nullptr) residual += out_image;
  }
}

// By register tiles.
template <class P>
class TilesPlan final : public PlanOf<typename P::Element> {
 public:
  using Base = PlanOf<typename P::Element>;
  using Layer = TiledLayer<P>;
  using LayerPointer = std::shared_ptr<const Layer>;

  TilesPlan(LayerPointer layer, TiledPlan<P>&& plan)
      : Base(plan.sizes, plan.scratch_bytes), layer_(std::move(layer)), plan_(std::move(plan)) {}

  static Status Make(const LayerPointer& layer, const ConvSizes& sizes,
                     std::shared_ptr<const Base>* plan) {
    TiledPlan<P> made;
    Status status = PlanTiles(*layer, sizes, &made);
    if (status.ok()) *plan = std::make_shared<TilesPlan>(layer, std::move(made));
    return status;
  }

  void Run(const typename P::Element* x, const typename P::Element* residual,
           typename P::Element* y, void* scratch,
           const ParallelFor& parallel) const noexcept override {
    using Word = typename P::Word;
    ForEachImage(layer_->spec.in_channels, layer_->out_planes(), plan_.sizes,
                 reinterpret_cast<const Word*>(x), reinterpret_cast<const Word*>(residual),
                 reinterpret_cast<Word*>(y), [&](auto* image, auto* added, auto* made) {
                   RunTiles(*layer_, plan_, image, added, made, scratch, parallel);
                 });
  }
  const char* kernel_name() const noexcept override { return RowName(plan_.main_row); }
  std::string Describe() const override { return DescribeTiles(plan_, *layer_); }

 private:
  const LayerPointer layer_;
  const TiledPlan<P> plan_;
};

// By a depthwise kernel.
template <class P>
class DepthwisePlan final : public PlanOf<typename P::Element> {
 public:
  using Base = PlanOf<typename P::Element>;
  using Layer = DepthwiseLayer<P>;
  using LayerPointer = std::shared_ptr<const Layer>;

  DepthwisePlan(LayerPointer layer, const ConvSizes& of)
      : Base(of, 0), layer_(std::move(layer)), tasks_(DepthwiseTasks(*layer_, of)) {}

  static Status Make(const LayerPointer& layer, const ConvSizes& sizes,
                     std::shared_ptr<const Base>* plan) {
    *plan = std::make_shared<DepthwisePlan>(layer, sizes);
    return Status();
  }

  void Run(const typename P::Element* x, const typename P::Element* residual,
           typename P::Element* y, void*, const ParallelFor& parallel) const noexcept override {
    using Word = typename P::Word;
    ForEachImage(layer_->spec.in_channels, layer_->out_planes(), this->sizes,
                 reinterpret_cast<const Word*>(x), reinterpret_cast<const Word*>(residual),
                 reinterpret_cast<Word*>(y), [&](auto* image, auto* added, auto* made) {
                   RunDepthwise(*layer_, this->sizes, tasks_, image, added, made, parallel);
                 });
  }
  const char* kernel_name() const noexcept override { return RowName(layer_->kernel.row); }
  std::string Describe() const override {
    return std::string(kernel_name()) + "; " + std::to_string(this->sizes.out_height) + " x " +
           std::to_string(this->sizes.out_width) + " outputs, " + std::to_string(tasks_.size()) +
           " tasks";
  }

 private:
  const LayerPointer layer_;
  const std::vector<Range> tasks_;
};

}  // namespace alcs

#endif  // ALCS_SRC_LAYER_CONV_H_

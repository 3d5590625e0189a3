// The shared object that holds OpenVINO: compiles a network for the CPU and runs it. Exceptions of the library end here.
#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include <fmt/format.h>

#include <openvino/runtime/core.hpp>
#include <openvino/runtime/intel_cpu/properties.hpp>
#include <openvino/core/version.hpp>

#include "neural/internal/runtime.h"
#include "neural/openvino/bert_graph.h"
#include "neural/openvino/onnx_graph.h"

namespace understudy::neural::internal {
namespace {

// Never destroyed: at exit the library's own statics may be gone first.
ov::Core& core() {
  static ov::Core* const kCore = new ov::Core;
  return *kCore;
}

class OpenvinoNetwork : public Network {
 public:
  OpenvinoNetwork(const std::shared_ptr<ov::Model>& graph, std::size_t hidden, const CompileOptions& options) {
    const std::uint64_t group = options.precision == Precision::kInt8 ? hidden : 0;
    compiled_ = core().compile_model(graph, "CPU", ov::hint::inference_precision(ov::element::f32),
                                     ov::hint::dynamic_quantization_group_size(group), ov::num_streams(ov::streams::Num(options.streams)),
                                     ov::inference_num_threads(options.threads * options.streams), ov::hint::enable_cpu_pinning(false));
    for (int i = 0; i < options.streams; ++i) free_.push_back(compiled_.create_infer_request());
  }

  Result<void> run(const TokenBatch& batch, std::span<float> sentences, std::span<float> tokens) const override {
    ov::InferRequest request = borrow();
    Result<void> result = {};
    try {
      const ov::Shape shape{batch.rows, batch.length};
      const std::span<const std::int32_t> inputs[] = {batch.ids, batch.mask, batch.types};
      for (std::size_t i = 0; i < 3; ++i)
        request.set_input_tensor(i, ov::Tensor(ov::element::i32, shape, const_cast<std::int32_t*>(inputs[i].data())));
      request.infer();
      copy(request.get_output_tensor(0), sentences);
      if (!tokens.empty()) copy(request.get_output_tensor(1), tokens);
    } catch (const std::exception& e) {
      result = fail(ErrorKind::kInternal, std::string("OpenVINO could not run the encoder: ") + e.what());
    }
    give_back(std::move(request));
    return result;
  }

 private:
  static void copy(const ov::Tensor& from, std::span<float> to) {
    OPENVINO_ASSERT(from.get_size() == to.size(), "an output has ", from.get_size(), " numbers, not ", to.size());
    std::memcpy(to.data(), from.data<float>(), to.size_bytes());
  }

  ov::InferRequest borrow() const {
    std::unique_lock lock(mutex_);
    one_is_free_.wait(lock, [this] { return !free_.empty(); });
    ov::InferRequest request = std::move(free_.back());
    free_.pop_back();
    return request;
  }
  void give_back(ov::InferRequest request) const {
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(std::move(request));
    }
    one_is_free_.notify_one();
  }

  mutable ov::CompiledModel compiled_;
  mutable std::mutex mutex_;
  mutable std::condition_variable one_is_free_;
  mutable std::vector<ov::InferRequest> free_;
};

bool rounds_weights(const CompileOptions& options) { return options.precision != Precision::kFloat32; }

Result<std::unique_ptr<Network>> compile(const BertNetwork& network, const CompileOptions& options) {
  try {
    return std::make_unique<OpenvinoNetwork>(bert_graph(network, rounds_weights(options)), network.hidden, options);
  } catch (const std::exception& e) {
    return fail(ErrorKind::kInternal, std::string("OpenVINO could not compile the encoder: ") + e.what());
  }
}

/// The file is a stranger's: what is wrong with it is not our failure.
Result<std::unique_ptr<Network>> compile_onnx(const OnnxNetwork& network, const CompileOptions& options) {
  std::string what;
  try {
    return std::make_unique<OpenvinoNetwork>(onnx_graph(network, rounds_weights(options)), network.hidden, options);
  } catch (const std::exception& e) {
    what = e.what();
  }
  return fail(ErrorKind::kCorrupt, fmt::format("{}: {}; a whole ONNX export of a BERT encoder is needed (docs/guide/encoder.md)", network.path, what));
}

}  // namespace
}  // namespace understudy::neural::internal

extern "C" __attribute__((visibility("default"))) const understudy::neural::internal::RuntimeEntry* understudy_neural_runtime() {
  static const understudy::neural::internal::RuntimeEntry kEntry{
      understudy::neural::internal::kRuntimeInterface,
      // 2026.4.1-22982-... to 2026.4.1
      "openvino-" + std::string(ov::get_openvino_version().buildNumber).substr(0, std::string(ov::get_openvino_version().buildNumber).find('-')),
      understudy::neural::internal::compile, understudy::neural::internal::compile_onnx};
  return &kEntry;
}

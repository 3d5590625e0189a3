#pragma once
#include <memory>

#include "neural/internal/runtime.h"

namespace ov {
class Model;
}

namespace understudy::neural::internal {

/// The graph of an ONNX file with inputs and outputs as bert_graph gives them. The file's inputs are input_ids, attention_mask and, if it has
/// it, token_type_ids; of its outputs the first with three dimensions is taken as the tokens' vectors.
/// With 8-bit weights, matrices that lie in the file as 32-bit floats are rounded as bert_graph rounds them; others stay as they are.
/// Throws std::exception: no reader of ONNX, not ONNX, other inputs or outputs, tables or vectors of another size than `network` says.
std::shared_ptr<ov::Model> onnx_graph(const OnnxNetwork& network, bool int8_weights);

}  // namespace understudy::neural::internal

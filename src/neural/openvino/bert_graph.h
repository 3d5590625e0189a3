#pragma once
#include <memory>

#include "neural/internal/runtime.h"

namespace ov {
class Model;
}

namespace understudy::neural::internal {

/// The network as an OpenVINO graph of opset 13. Inputs ids, mask, types: i32 [rows, length], both free.
/// Outputs: 0 sentences f32 [rows, hidden], 1 tokens f32 [rows, length, hidden].
/// With 8-bit weights the matrices are copied and rounded, one scale a row: round(w / s), s = max |w| / 127; else the graph refers to
/// the network's own memory. Throws ov::Exception.
std::shared_ptr<ov::Model> bert_graph(const BertNetwork& network, bool int8_weights);

}  // namespace understudy::neural::internal

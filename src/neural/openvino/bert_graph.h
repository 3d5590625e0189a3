#pragma once
#include <memory>
#include <span>
#include <vector>

#include "neural/internal/runtime.h"

namespace ov {
class Model;
class Node;
template <typename NodeType>
class Output;
}  // namespace ov

namespace understudy::neural::internal {

/// The network as an OpenVINO graph of opset 13. Inputs ids, mask, types: i32 [rows, length], both free.
/// Outputs: 0 sentences f32 [rows, hidden], 1 tokens f32 [rows, length, hidden].
/// With 8-bit weights the matrices are copied and rounded, one scale a row: round(w / s), s = max |w| / 127; else the graph refers to
/// the network's own memory. Throws ov::Exception.
std::shared_ptr<ov::Model> bert_graph(const BertNetwork& network, bool int8_weights);

/// A matrix (outputs x inputs) in 8 bits, one scale a row, as an operand of 32-bit floats.
ov::Output<ov::Node> rounded_weights(std::span<const float> weight, std::size_t outputs, std::size_t inputs);
/// Outputs of a graph: sentences, pooled from the tokens' vectors and of length 1, then those vectors. @param mask  i32
std::vector<ov::Output<ov::Node>> with_sentences(const ov::Output<ov::Node>& tokens, const ov::Output<ov::Node>& mask, Pooling pooling);

}  // namespace understudy::neural::internal

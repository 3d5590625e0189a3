#pragma once
/// The network that is trained: a BERT encoder, computed by libtorch, and a head: one that scores pairs (neural/model_folder.h has its
/// formula), or one of labels, a line in the text's vector that only the training needs. neural computes the same scores and vectors from
/// the folder that save() writes; tests compare them.

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "neural/model_folder.h"

namespace understudy::trainer {

struct Parameter {
  std::string name;  ///< of its tensor in model.safetensors
  at::Tensor value;
  bool is_head = false;
  bool decays = false;  ///< matrices shrink a little with each step; biases and norms do not
};

/// Of a model that has none.
struct NewHead {
  neural::PairHeadKind kind = neural::PairHeadKind::kHybrid;
  std::uint64_t seed = 1;
  std::size_t labels = 0;  ///< above 0: a head of so many labels instead, also of a model that has one of pairs
};

class TrainedNetwork {
 public:
  /// From an encoder's folder, with a new head, or from a pair scorer's. A new hybrid head's score is 20 times the cosine of both texts; a new
  /// interaction head, 256 wide, says about 0.
  /// @param pair_tokens  0: as the folder says. Errors as open_model_folder's; kConfig: more tokens than the model has positions
  static Result<TrainedNetwork> open(const std::filesystem::path& folder, std::size_t pair_tokens, const NewHead& head = {});

  /// Scores of pairs, [n], or of texts, [n, labels], in their order. Above 0, `dropout` draws from at::manual_seed's generator.
  at::Tensor scores(std::span<const neural::Tokens* const> pairs, double dropout) const;
  /// Mean of a text's token vectors, of length 1: [n, hidden].
  at::Tensor means(std::span<const neural::Tokens* const> texts) const;

  /// What learns: all but the word table.
  std::span<Parameter> trained() { return std::span(parameters_).subspan(1); }
  neural::Tokens tokens(std::string_view first, std::string_view second) const;  ///< of a pair; with a head of labels, of `first`
  const neural::ModelFolder& folder() const { return *folder_; }

  /// Writes a pair scorer's folder, or an encoder's without the head of labels; it must exist and be empty. kIo.
  Result<void> save(const std::filesystem::path& folder) const;

 private:
  struct Batch;
  Batch padded(std::span<const neural::Tokens* const> texts) const;
  at::Tensor encode(const Batch& batch, double dropout) const;
  at::Tensor head(const Batch& batch, const at::Tensor& vectors, double dropout) const;
  const at::Tensor& next(std::size_t& at) const { return parameters_[at++].value; }

  std::unique_ptr<const neural::ModelFolder> folder_;
  std::filesystem::path from_;
  std::size_t pair_tokens_ = 0, labels_ = 0, head_at_ = 0;
  neural::PairHeadKind head_ = neural::PairHeadKind::kHybrid;
  std::vector<Parameter> parameters_;  // in the order in which encode() takes them; the word table first, from head_at_ on the head's
};

}  // namespace understudy::trainer

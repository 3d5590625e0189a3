#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "neural/pair_scorer.h"

namespace understudy::specialists {

/// A fine-tuned model of pairs: made by the caller of a training, who knows how (app runs the trainer). Its open scorer and its folder.
struct CrossEncoder {
  std::unique_ptr<neural::PairScorer> scorer;
  std::filesystem::path folder;
  std::string told;  ///< for facts
};

/// Two texts and how well they belong together, 0 to 1: what such a model learns from.
struct LabelledPair {
  std::string first, second;
  double target = 0;
  double weight = 1;
};

}  // namespace understudy::specialists

#include "providers/model.h"

namespace understudy::providers {

std::string_view logprob_support_name(LogprobSupport support) {
  switch (support) {
    case LogprobSupport::kUnknown: return "unknown";
    case LogprobSupport::kFull: return "full";
    case LogprobSupport::kTopN: return "top_n";
    case LogprobSupport::kNone: return "none";
  }
  return "unknown";
}

}  // namespace understudy::providers

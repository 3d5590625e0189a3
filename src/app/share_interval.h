#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "store/curve.h"

namespace understudy::app {

/// A share with its two-sided 95 % interval.
struct ShareInterval {
  double share = 0, low = 0, high = 0;
  std::int64_t n = 0;
};

/// k of n, with the interval of Clopper and Pearson; nullopt where n is 0.
std::optional<ShareInterval> share_interval(std::int64_t k, std::int64_t n);

/// Share of agreement among served answers, from spot checks; nullopt without any. Under one coin the checks are a plain sample:
/// share_interval. Where the coin changed, each coin's checks are a sample of their own: the share is their mean, weighted by how
/// many answers each stands for (n / p), and the interval the same mean of one interval each at 1 - 0.05 / (number of coins),
/// which together hold at 95 % (the weights, estimated from the same n, are taken as given).
std::optional<ShareInterval> agreement_of(std::span<const store::CurveLabels> checks);

}  // namespace understudy::app

#pragma once
/// What live mode would have done with the requests of shadow mode, from their rows.

#include <vector>

#include "base/error.h"
#include "store/internal/sqlite.h"
#include "store/queries.h"

namespace understudy::store {

/// Adds this database's newest requests to `totals`, a row a task. A request whose two answers are not yet in the same
/// database (the journal's tail holds the student's) is left out: it is a moment old.
Result<void> add_shadow(Database& db, std::vector<ShadowTotals>& totals);

}  // namespace understudy::store

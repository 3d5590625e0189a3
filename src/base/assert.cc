#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace understudy {

void invariant_failed(std::string_view expression, std::string_view file, int line) {
  // tidy: allow(print) because the program ends here and the log may be what broke
  std::fprintf(stderr, "understudy: broken invariant at %.*s:%d: %.*s\n", static_cast<int>(file.size()), file.data(), line,
               static_cast<int>(expression.size()), expression.data());
  std::abort();
}

}  // namespace understudy

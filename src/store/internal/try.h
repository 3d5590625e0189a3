#pragma once
/// Leaves the function with the error of a Result that failed. Statements, so that no coroutine or expression rule is touched.

#define STORE_TRY(expression)                                                    \
  do {                                                                           \
    if (auto try_result_ = (expression); !try_result_) {                         \
      return ::understudy::fail(std::move(try_result_.error()));                 \
    }                                                                            \
  } while (false)

/// STORE_TRY_ASSIGN(auto row, statement.step());
#define STORE_TRY_ASSIGN(declaration, expression) STORE_TRY_ASSIGN_AT(declaration, expression, __LINE__)
#define STORE_TRY_ASSIGN_AT(declaration, expression, line) STORE_TRY_ASSIGN_LINE(declaration, expression, line)
#define STORE_TRY_ASSIGN_LINE(declaration, expression, line)                     \
  auto try_result_##line = (expression);                                         \
  if (!try_result_##line) return ::understudy::fail(std::move(try_result_##line.error())); \
  declaration = std::move(*try_result_##line)

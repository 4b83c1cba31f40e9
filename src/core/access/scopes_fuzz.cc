// The algebra of scopes over arbitrary scopes: a set is minimal, covers what was put in and nothing that none of it
// satisfies, does not depend on the order, and an expression is met by exactly the sets that miss nothing of it.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "core/access/scopes.h"

namespace gantry::access {
namespace {

constexpr std::size_t scopes_max = 64;  // the checks are quadratic

/// Lines; the valid ones are scopes.
std::vector<std::string> scopes_in(std::string_view text) {
  std::vector<std::string> scopes;
  while (!text.empty() && scopes.size() < scopes_max) {
    auto end = std::min(text.find('\n'), text.size());
    if (is_valid_scope(text.substr(0, end))) scopes.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return scopes;
}

bool any_satisfies(const std::vector<std::string>& held, std::string_view required) {
  return std::ranges::any_of(held, [&](const std::string& scope) { return satisfies(scope, required); });
}

/// Of two forms, by what `shape` says; its parts are the scopes one by one and in pairs.
ScopeExpression expression_of(const std::vector<std::string>& scopes, unsigned shape) {
  std::vector<ScopeExpression> parts;
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    ScopeExpression part(scopes[i]);
    if (i > 0 && (shape >> i % 8 & 1)) part = ScopeExpression::all_of({scopes[i - 1], std::move(part)});
    parts.push_back(std::move(part));
  }
  return shape & 1 ? ScopeExpression::all_of(std::move(parts)) : ScopeExpression::any_of(std::move(parts));
}

void try_scopes(const std::vector<std::string>& held, const std::vector<std::string>& needed, unsigned shape) {
  ScopeSet set(held);
  ScopeSet one_by_one;
  for (auto scope = held.rbegin(); scope != held.rend(); ++scope) one_by_one.add(*scope);
  GANTRY_ASSERT(set == one_by_one && set.covers(set));
  for (const std::string& scope : held) GANTRY_ASSERT(set.covers(scope));
  for (const std::string& scope : needed) GANTRY_ASSERT(set.covers(scope) == any_satisfies(held, scope));
  for (const std::string& a : set.scopes()) {
    for (const std::string& b : set.scopes()) GANTRY_ASSERT(&a == &b || !satisfies(a, b));
  }
  ScopeExpression expression = expression_of(needed, shape);
  auto missing = expression.missing_from(set);
  GANTRY_ASSERT(expression.met_by(set) == !missing);
  if (missing) GANTRY_ASSERT(!missing->met_by(set) && missing->to_string() == missing->missing_from(set)->to_string());
  ScopeSet more = set;
  more.add(ScopeSet(needed));
  GANTRY_ASSERT(needed.empty() || expression.met_by(more));
}

}  // namespace
}  // namespace gantry::access

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gantry::access;
  if (size < 2) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::size_t half = std::min<std::size_t>(data[1], text.size());
  try_scopes(scopes_in(text.substr(0, half)), scopes_in(text.substr(half)), data[0]);
  return 0;
}

#include "wire/scopes.h"

namespace gantry::wire {

bool is_scope_pattern(std::string_view scope) { return scope.ends_with('*'); }

std::string_view scope_stem(std::string_view scope) {
  if (is_scope_pattern(scope)) scope.remove_suffix(1);
  return scope;
}

bool satisfies(std::string_view held, std::string_view required) {
  // By the stem of a pattern: "x*" is not below "x**", which covers less.
  return is_scope_pattern(held) ? scope_stem(required).starts_with(scope_stem(held)) : held == required;
}

}  // namespace gantry::wire

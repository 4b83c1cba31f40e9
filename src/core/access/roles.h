// Roles (taskcluster.md 2.10): whoever holds `assume:<roleId>` has the role's scopes, and what those in turn assume,
// to a fixed point.
//
// - A held `assume:pre*` (or `*`, `a*` ... `assume*`) assumes every role whose id begins with `pre`.
// - A roleId that ends in `*` is assumed by every held `assume:` scope that begins with what stands before the star.
//   In its scopes `<..>` stands for what the held scope has after that. If the held scope ends in a star there, or is
//   itself wider than the roleId, a star takes the place of `<..>` and of everything behind it. In the scopes of other
//   roles `<..>` is plain text.
// - Cyclic roles are refused when they are made (check_roles); an expansion comes to an end all the same, because it
//   stops at expanded_scopes_max scopes, expanded_bytes_max bytes or expansion_steps_max steps, and drops scopes longer
//   than scope_bytes_max. What it drops is not granted.
//
// Pure. A resolver is compiled from all roles and never changes; the server compiles a new one when a role has changed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "core/access/scopes.h"
#include "core/state/state.h"

namespace gantry::access {

struct Expansion {
  ScopeSet scopes;       // with the given ones
  bool complete = true;  // false: a limit was met
};

class RoleResolver {
 public:
  /// No roles.
  RoleResolver() = default;
  explicit RoleResolver(std::vector<state::Role> roles);
  explicit RoleResolver(const state::State& state);

  /// Scopes must be valid.
  Expansion expand(std::span<const std::string> scopes) const;
  Expansion expand(const ScopeSet& scopes) const { return expand(scopes.scopes()); }

  /// What `assume:<role_id>` stands for, itself included.
  Expansion expand_role(std::string_view role_id) const;

  std::size_t size() const { return roles_.size(); }

 private:
  friend Result<void> check_roles(const state::State& state, const state::Role& changed);

  struct Granted {
    std::string text;                              // the scope; a parameter is left out
    std::size_t parameter_at = std::string::npos;  // where `<..>` was
  };
  struct Compiled {
    std::string stem;  // the id without its star
    bool pattern = false;
    std::vector<Granted> scopes;
  };
  class Search;

  std::string id_of(std::size_t index) const;
  /// The role with this stem; -1 if there is none.
  std::ptrdiff_t find(std::string_view stem, bool pattern) const;
  /// Calls visit(role index, parameter) for every role that `scope` assumes; the parameter is valid during the call.
  template <class Visit>
  void for_each_match(std::string_view scope, Visit visit) const;
  static std::string granted(const Granted& scope, std::string_view parameter);

  std::vector<Compiled> roles_;               // by stem; at the same stem the pattern comes first
  std::vector<std::size_t> pattern_lengths_;  // of the stems of patterns, each once, ascending
};

/// Whether the roles stay without a cycle and every parameter in its place if `changed` is added to or takes its place
/// among them, with Taskcluster's rules: a role depends on those that its scopes assume, `<..>` taken for `*`.
/// Errors: invalid_input, naming the cycle or the scope; too_large if it would expand beyond the limits.
Result<void> check_roles(const state::State& state, const state::Role& changed);

}  // namespace gantry::access

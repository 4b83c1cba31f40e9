// Arbitrary roles, cycles and odd stars included, and arbitrary held scopes: an expansion comes to an end within its
// limits, holds what was given, and is the same when it is expanded again.
#include <cstddef>
#include <cstdint>

#include "core/access/limits.h"
#include "core/access/roles.h"

namespace gantry::access {
namespace {

/// Lines "role", then its scopes with a tab before them; lines that begin with '=' are held scopes.
void try_roles(std::string_view text) {
  std::vector<state::Role> roles;
  std::vector<std::string> held;
  while (!text.empty()) {
    auto end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    bool scope = line.starts_with('\t');
    bool given = line.starts_with('=');
    if (scope || given) line.erase(0, 1);
    if (!is_valid_scope(line)) continue;
    if (given) {
      held.push_back(line);
    } else if (scope && !roles.empty()) {
      roles.back().scopes.push_back(line);
    } else if (!scope) {
      roles.emplace_back().id = line;
    }
  }
  state::State state;
  for (const state::Role& role : roles) {
    bool sound = check_roles(state, role).has_value();
    if (!state.table<state::Role>().find(role.id)) state.load(role);
    GANTRY_ASSERT(!sound || RoleResolver(state).expand_role(role.id).scopes.size() <= expanded_scopes_max + 1);
  }
  RoleResolver resolver(state);
  Expansion expansion = resolver.expand(held);
  GANTRY_ASSERT(expansion.scopes.covers(ScopeSet(held)));
  GANTRY_ASSERT(expansion.scopes.size() <= expanded_scopes_max + held.size() + 1);
  if (expansion.complete) GANTRY_ASSERT(resolver.expand(expansion.scopes).scopes == expansion.scopes);
}

}  // namespace
}  // namespace gantry::access

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gantry::access::try_roles({reinterpret_cast<const char*>(data), size});
  return 0;
}

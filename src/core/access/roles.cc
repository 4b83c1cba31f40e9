#include "core/access/roles.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "base/text.h"
#include "core/access/limits.h"

namespace gantry::access {
namespace {

constexpr std::string_view assume = "assume:";
constexpr std::string_view parameter_mark = "<..>";
constexpr std::size_t shown_max = 200;

/// What a held scope says behind "assume:"; `*` if it is wider than that; nothing if it assumes nothing.
std::optional<std::string_view> assumed(std::string_view scope) {
  if (scope.starts_with(assume)) return scope.substr(assume.size());
  if (scope.ends_with('*') && assume.starts_with(scope.substr(0, scope.size() - 1))) return "*";
  return std::nullopt;
}

std::vector<state::Role> all_roles(const state::State& state) {
  std::vector<state::Role> roles;
  roles.reserve(state.table<state::Role>().size());
  state.table<state::Role>().for_each([&](const state::Role& role) { roles.push_back(role); });
  return roles;
}

Result<void> check_parameters(const state::Role& role) {
  if (!role.id.ends_with('*')) return success();
  for (const std::string& scope : role.scopes) {
    auto mark = scope.find(parameter_mark);
    if (mark == std::string::npos) continue;
    if (scope.find(parameter_mark, mark + parameter_mark.size()) != std::string::npos) {
      return Error(ErrorCode::invalid_input,
                   fmt::format("the scope \"{}\" has more than one <..>", shorten(scope, shown_max)),
                   "a scope of a role takes its parameter at one place");
    }
    if (scope.ends_with("*<..>")) {
      return Error(
          ErrorCode::invalid_input,
          fmt::format("the scope \"{}\" ends in *<..>, which could mean two things", shorten(scope, shown_max)),
          "leave out the star or the parameter");
    }
  }
  return success();
}

}  // namespace

RoleResolver::RoleResolver(const state::State& state) : RoleResolver(all_roles(state)) {}

RoleResolver::RoleResolver(std::vector<state::Role> roles) {
  roles_.reserve(roles.size());
  for (state::Role& role : roles) {
    Compiled compiled;
    compiled.pattern = role.id.ends_with('*');
    compiled.stem = std::move(role.id);
    if (compiled.pattern) compiled.stem.pop_back();
    compiled.scopes.reserve(role.scopes.size());
    for (std::string& scope : role.scopes) {
      Granted granted;
      granted.text = std::move(scope);
      if (compiled.pattern) granted.parameter_at = granted.text.find(parameter_mark);
      if (granted.parameter_at != std::string::npos) granted.text.erase(granted.parameter_at, parameter_mark.size());
      compiled.scopes.push_back(std::move(granted));
    }
    if (compiled.pattern) pattern_lengths_.push_back(compiled.stem.size());
    roles_.push_back(std::move(compiled));
  }
  std::ranges::sort(roles_, [](const Compiled& a, const Compiled& b) {
    int order = a.stem.compare(b.stem);
    return order != 0 ? order < 0 : a.pattern && !b.pattern;
  });
  std::ranges::sort(pattern_lengths_);
  auto repeated = std::ranges::unique(pattern_lengths_);
  pattern_lengths_.erase(repeated.begin(), repeated.end());
}

std::string RoleResolver::id_of(std::size_t index) const {
  return roles_[index].stem + (roles_[index].pattern ? "*" : "");
}

std::ptrdiff_t RoleResolver::find(std::string_view stem, bool pattern) const {
  auto at =
      std::ranges::lower_bound(roles_, stem, {}, [](const Compiled& role) { return std::string_view(role.stem); });
  for (; at != roles_.end() && at->stem == stem; ++at) {
    if (at->pattern == pattern) return at - roles_.begin();
  }
  return -1;
}

template <class Visit>
void RoleResolver::for_each_match(std::string_view scope, Visit visit) const {
  auto id = assumed(scope);
  if (!id) return;
  bool star = id->ends_with('*');
  std::string_view head = star ? id->substr(0, id->size() - 1) : *id;
  // The patterns that cover it.
  for (std::size_t length : pattern_lengths_) {
    if (length > head.size()) break;
    std::ptrdiff_t role = find(head.substr(0, length), true);
    if (role >= 0) visit(static_cast<std::size_t>(role), id->substr(length));
  }
  if (!star) {
    std::ptrdiff_t role = find(head, false);
    if (role >= 0) visit(static_cast<std::size_t>(role), std::string_view());
    return;
  }
  // What it covers.
  auto at =
      std::ranges::lower_bound(roles_, head, {}, [](const Compiled& role) { return std::string_view(role.stem); });
  for (; at != roles_.end() && at->stem.starts_with(head); ++at) {
    bool was_visited = at->pattern && at->stem.size() == head.size();
    if (!was_visited) visit(static_cast<std::size_t>(at - roles_.begin()), std::string_view("*"));
  }
}

std::string RoleResolver::granted(const Granted& scope, std::string_view parameter) {
  if (scope.parameter_at == std::string::npos) return scope.text;
  std::string text = scope.text.substr(0, scope.parameter_at);
  text += parameter;
  if (!parameter.ends_with('*')) text += std::string_view(scope.text).substr(scope.parameter_at);
  return text;
}

/// The way to the fixed point: every scope that assumes something is looked at once.
class RoleResolver::Search {
 public:
  explicit Search(const RoleResolver& roles) : roles_(roles) {}

  Expansion run(std::span<const std::string> given) {
    Expansion expansion;
    std::vector<std::string> scopes(given.begin(), given.end());
    for (const std::string& scope : given) add(scope);
    for (std::size_t i = 0; i < line_.size() && complete_; ++i) {
      roles_.for_each_match(*line_[i], [&](std::size_t role, std::string_view parameter) {
        for (const Granted& scope : roles_.roles_[role].scopes) {
          if (!complete_) return;
          if (++steps_ > expansion_steps_max) complete_ = false;
          add(granted(scope, parameter));
        }
      });
    }
    scopes.reserve(scopes.size() + seen_.size());
    for (const std::string& scope : seen_) scopes.push_back(scope);
    expansion.scopes = ScopeSet(std::move(scopes));
    expansion.complete = complete_ && !dropped_;
    return expansion;
  }

 private:
  void add(std::string scope) {
    if (scope.size() > scope_bytes_max) {
      dropped_ = true;
      return;
    }
    std::size_t bytes = scope.size();
    auto [place, fresh] = seen_.insert(std::move(scope));
    if (!fresh) return;
    bytes_ += bytes;
    if (seen_.size() > expanded_scopes_max || bytes_ > expanded_bytes_max) complete_ = false;
    if (assumed(*place)) line_.push_back(&*place);
  }

  const RoleResolver& roles_;
  std::unordered_set<std::string> seen_;
  std::vector<const std::string*> line_;  // of seen_, which does not move them
  std::size_t bytes_ = 0;
  std::size_t steps_ = 0;
  bool complete_ = true;
  bool dropped_ = false;
};

Expansion RoleResolver::expand(std::span<const std::string> scopes) const {
  auto assumes = [](const std::string& scope) { return assumed(scope).has_value(); };
  bool everything = std::ranges::find(scopes, "*") != scopes.end();
  if (everything) return {ScopeSet{"*"}, true};
  if (std::ranges::none_of(scopes, assumes)) return {ScopeSet({scopes.begin(), scopes.end()}), true};
  return Search(*this).run(scopes);
}

Expansion RoleResolver::expand_role(std::string_view role_id) const {
  std::string scope(assume);
  scope += role_id;
  return expand({&scope, 1});
}

Result<void> check_roles(const state::State& state, const state::Role& changed) {
  TRY(check_parameters(changed));
  std::vector<state::Role> all = all_roles(state);
  std::erase_if(all, [&](const state::Role& role) { return role.id == changed.id; });
  all.push_back(changed);
  RoleResolver roles(std::move(all));
  bool pattern = changed.id.ends_with('*');
  std::string_view stem = changed.id;
  if (pattern) stem.remove_suffix(1);
  auto start = static_cast<std::size_t>(roles.find(stem, pattern));
  // Without it there was no cycle, so a new one goes through it: look for a way from it to itself.
  constexpr std::size_t nobody = SIZE_MAX;
  std::vector<std::size_t> came_from(roles.size(), nobody);
  std::vector<std::size_t> line{start};
  std::size_t last = nobody;  // before the start is reached again
  while (!line.empty() && last == nobody) {
    std::size_t at = line.back();
    line.pop_back();
    for (const auto& scope : roles.roles_[at].scopes) {
      roles.for_each_match(RoleResolver::granted(scope, "*"), [&](std::size_t next, std::string_view) {
        if (next == start) {
          last = at;
        } else if (came_from[next] == nobody) {
          came_from[next] = at;
          line.push_back(next);
        }
      });
    }
  }
  if (last != nobody) {
    std::string cycle = fmt::format("'assume:{}'", changed.id);
    for (std::size_t at = last; at != start; at = came_from[at]) {
      cycle = fmt::format("'assume:{}' -> {}", roles.id_of(at), cycle);
    }
    return Error(ErrorCode::invalid_input,
                 fmt::format("roles may not depend on each other in a cycle, and this would be one: {}",
                             shorten(fmt::format("'assume:{}' -> {}", changed.id, cycle), 10 * shown_max)),
                 "leave one of these scopes out of its role");
  }
  if (!roles.expand_role(changed.id).complete) {
    return Error(ErrorCode::too_large,
                 fmt::format("the role \"{}\" would stand for more than {} scopes, or for scopes of more than {} bytes",
                             shorten(changed.id, shown_max), expanded_scopes_max, scope_bytes_max),
                 "give it fewer scopes, or one that ends in a star");
  }
  return success();
}

}  // namespace gantry::access

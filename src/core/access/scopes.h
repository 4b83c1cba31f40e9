// The algebra of scopes (taskcluster.md 2.10), without roles. A scope is printable ASCII. One that ends in `*` is a
// pattern: it covers every scope that begins with what stands before the star, other patterns included. A star anywhere
// else is a plain character.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/scopes.h"

namespace gantry::access {

bool is_valid_scope(std::string_view scope);

using wire::satisfies;

/// The order of scopes: by what stands before a trailing star; at the same text the pattern comes first.
bool scope_before(std::string_view a, std::string_view b);

/// What someone holds. Always minimal (no scope is covered by another one) and sorted, so equal sets have equal
/// scopes(): by what stands before the star; at the same text the pattern comes before the plain scope.
class ScopeSet {
 public:
  ScopeSet() = default;
  /// Scopes must be valid (is_valid_scope); they may repeat and cover each other.
  explicit ScopeSet(std::vector<std::string> scopes);
  ScopeSet(std::initializer_list<std::string> scopes) : ScopeSet(std::vector<std::string>(scopes)) {}

  /// Logarithmic in the number of scopes held.
  bool covers(std::string_view required) const { return cover_of(required) != nullptr; }
  bool covers(const ScopeSet& required) const;

  void add(std::string scope);
  void add(const ScopeSet& others);

  const std::vector<std::string>& scopes() const { return scopes_; }
  bool empty() const { return scopes_.empty(); }
  std::size_t size() const { return scopes_.size(); }

  friend bool operator==(const ScopeSet&, const ScopeSet&) = default;

 private:
  const std::string* cover_of(std::string_view required) const;
  void normalize();

  std::vector<std::string> scopes_;
};

/// What a request needs: one scope, all of several needs, or any of several. all_of() of nothing is always met,
/// any_of() of nothing never.
class ScopeExpression {
 public:
  ScopeExpression(std::string scope) : kind_(Kind::scope), scope_(std::move(scope)) {}
  ScopeExpression(const char* scope) : ScopeExpression(std::string(scope)) {}
  static ScopeExpression all_of(std::vector<ScopeExpression> parts) { return {Kind::all_of, std::move(parts)}; }
  static ScopeExpression any_of(std::vector<ScopeExpression> parts) { return {Kind::any_of, std::move(parts)}; }

  bool met_by(const ScopeSet& held) const;
  /// What is left of the expression once everything that `held` meets is taken away; nothing if it is met.
  std::optional<ScopeExpression> missing_from(const ScopeSet& held) const;
  /// For people: "queue:a and (queue:b or queue:c)".
  std::string to_string() const;

 private:
  enum class Kind { scope, all_of, any_of };
  ScopeExpression(Kind kind, std::vector<ScopeExpression> parts) : kind_(kind), parts_(std::move(parts)) {}

  Kind kind_;
  std::string scope_;
  std::vector<ScopeExpression> parts_;
};

}  // namespace gantry::access

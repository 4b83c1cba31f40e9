#include "core/access/scopes.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace gantry::access {
namespace {

using wire::is_scope_pattern;
using wire::scope_stem;

}  // namespace

// What a pattern covers stands right behind it, in one piece, because every covered stem begins with the pattern's.
bool scope_before(std::string_view a, std::string_view b) {
  int order = scope_stem(a).compare(scope_stem(b));
  return order != 0 ? order < 0 : is_scope_pattern(a) && !is_scope_pattern(b);
}

bool is_valid_scope(std::string_view scope) { return is_printable_ascii(scope); }

ScopeSet::ScopeSet(std::vector<std::string> scopes) : scopes_(std::move(scopes)) { normalize(); }

void ScopeSet::normalize() {
  std::sort(scopes_.begin(), scopes_.end(), scope_before);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < scopes_.size(); ++i) {
    GANTRY_ASSERT(is_valid_scope(scopes_[i]));
    if (kept > 0 && satisfies(scopes_[kept - 1], scopes_[i])) continue;
    if (kept != i) scopes_[kept] = std::move(scopes_[i]);
    ++kept;
  }
  scopes_.resize(kept);
}

const std::string* ScopeSet::cover_of(std::string_view required) const {
  // In a minimal set nothing stands between a pattern and what it covers, so only the last scope that is not behind
  // `required` can cover it.
  auto behind = std::upper_bound(scopes_.begin(), scopes_.end(), required, scope_before);
  if (behind == scopes_.begin()) return nullptr;
  const std::string& candidate = *std::prev(behind);
  return satisfies(candidate, required) ? &candidate : nullptr;
}

bool ScopeSet::covers(const ScopeSet& required) const {
  return std::all_of(required.scopes_.begin(), required.scopes_.end(),
                     [this](const std::string& scope) { return covers(scope); });
}

void ScopeSet::add(std::string scope) {
  if (covers(scope)) return;
  scopes_.push_back(std::move(scope));
  normalize();
}

void ScopeSet::add(const ScopeSet& others) {
  scopes_.insert(scopes_.end(), others.scopes_.begin(), others.scopes_.end());
  normalize();
}

bool ScopeExpression::met_by(const ScopeSet& held) const {
  auto met = [&held](const ScopeExpression& part) { return part.met_by(held); };
  switch (kind_) {
    case Kind::scope: return held.covers(scope_);
    case Kind::all_of: return std::all_of(parts_.begin(), parts_.end(), met);
    case Kind::any_of: return std::any_of(parts_.begin(), parts_.end(), met);
  }
  return false;
}

std::optional<ScopeExpression> ScopeExpression::missing_from(const ScopeSet& held) const {
  if (met_by(held)) return std::nullopt;
  if (kind_ == Kind::scope) return *this;
  std::vector<ScopeExpression> missing;
  for (const auto& part : parts_) {
    if (auto rest = part.missing_from(held)) missing.push_back(std::move(*rest));
  }
  return ScopeExpression(kind_, std::move(missing));
}

std::string ScopeExpression::to_string() const {
  if (kind_ == Kind::scope) return scope_;
  if (parts_.empty()) return kind_ == Kind::all_of ? "nothing" : "what nobody can hold";
  std::string out;
  for (const auto& part : parts_) {
    if (!out.empty()) out += kind_ == Kind::all_of ? " and " : " or ";
    bool group = part.kind_ != Kind::scope && part.parts_.size() > 1 && parts_.size() > 1;
    out += group ? "(" + part.to_string() + ")" : part.to_string();
  }
  return out;
}

}  // namespace gantry::access

// What a single scope covers (taskcluster.md 2.10), for all who compare scopes; sets of them are in core/access.
#pragma once

#include <string_view>

namespace gantry::wire {

/// Ends in a star: covers every scope that begins with what stands before it.
bool is_scope_pattern(std::string_view scope);
/// Without the star of a pattern.
std::string_view scope_stem(std::string_view scope);
/// True if whoever holds `held` has `required`.
bool satisfies(std::string_view held, std::string_view required);

}  // namespace gantry::wire

// Secrets: named JSON objects that expire. Pure; values come here sealed, and the handler checks secrets:get:<name> or
// secrets:set:<name>. A secret must be in memory (if it exists) before any of these is called.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "core/state/transaction.h"

namespace gantry::access {

/// invalid_input unless it is 1 to secret_name_bytes_max printable ASCII characters.
Result<void> check_secret_name(std::string_view name);

/// Makes it or takes its place.
void set_secret(state::Transaction& tx, const std::string& name, std::string sealed_value, Time expires);
/// Also if there is none.
void delete_secret(state::Transaction& tx, const std::string& name);
/// Errors: not_found, expired (for as long as the expiry has not come by).
Result<const state::Secret*> find_secret(state::Transaction& tx, const std::string& name);
/// Deletes it if it has expired by now.
void expire_secret(state::Transaction& tx, const std::string& name);

}  // namespace gantry::access

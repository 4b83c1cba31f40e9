#include "core/access/secrets.h"

#include <fmt/format.h>

#include "base/text.h"
#include "core/access/limits.h"

namespace gantry::access {
namespace {

using state::Secret;

constexpr std::size_t shown_max = 200;

}  // namespace

Result<void> check_secret_name(std::string_view name) {
  if (!name.empty() && name.size() <= secret_name_bytes_max && is_printable_ascii(name)) return success();
  return Error(ErrorCode::invalid_input, fmt::format("\"{}\" is not the name of a secret", shorten(name, shown_max)),
               fmt::format("a name has 1 to {} printable ASCII characters", secret_name_bytes_max))
      .with_fault(InputFault::arguments);
}

void set_secret(state::Transaction& tx, const std::string& name, std::string sealed_value, Time expires) {
  Secret secret{name, std::move(sealed_value), expires};
  if (tx.find<Secret>(name)) {
    tx.update<Secret>(name, [&](Secret& changed) { changed = std::move(secret); });
  } else {
    tx.insert(std::move(secret));
  }
}

void delete_secret(state::Transaction& tx, const std::string& name) {
  if (tx.find<Secret>(name)) tx.erase<Secret>(name);
}

Result<const Secret*> find_secret(state::Transaction& tx, const std::string& name) {
  const Secret* secret = tx.find<Secret>(name);
  if (!secret) {
    return Error(ErrorCode::not_found, fmt::format("there is no secret \"{}\"", shorten(name, shown_max)));
  }
  if (secret->expires <= tx.now()) {
    return Error(ErrorCode::expired, fmt::format("the secret \"{}\" expired at {}", shorten(name, shown_max),
                                                 format_time(secret->expires)));
  }
  return secret;
}

void expire_secret(state::Transaction& tx, const std::string& name) {
  const Secret* secret = tx.find<Secret>(name);
  if (secret && secret->expires <= tx.now()) tx.erase<Secret>(name);
}

}  // namespace gantry::access

// Seals what must not be readable in the database: access tokens of clients, values of secrets. AES-256-GCM with a
// random nonce and the record's name as associated data, so that a sealed text is of no use under another name.
//
// A sealed text is "<key id>:<base64 of nonce, ciphertext and tag>". The key file holds one key a line, base64 of 32
// bytes, newest first, with empty lines and lines that begin with '#' ignored: the first one seals, all of them open.
// To rotate, put a new line first; a record is sealed anew when it is next written.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/error.h"

namespace gantry {
class Env;
}

namespace gantry::auth {

inline constexpr std::size_t seal_keys_max = 16;

/// A key and how sealed texts name it: 8 hex digits that say nothing about the key.
struct SealKey {
  AesKey key;
  std::string id;
};
using SealKeys = std::vector<SealKey>;

SealKey make_seal_key(const AesKey& key);
SealKey random_seal_key(Env& env);
/// Errors are invalid_input and repeat nothing of the file but the line's number.
Result<SealKeys> parse_seal_keys(std::string_view file);
/// The text of a key file.
std::string seal_keys_text(const SealKeys& keys);

class Sealer {
 public:
  /// Without keys nothing can be sealed or opened. `source` is how messages call the place of the keys.
  explicit Sealer(SealKeys keys = {}, std::string source = {});

  /// Errors: unavailable (no keys).
  Result<std::string> seal(Env& env, std::string_view plain, std::string_view name) const;
  /// Errors: unavailable (its key is not among ours), corrupt (it is not what was sealed under this name).
  Result<std::string> open(std::string_view sealed, std::string_view name) const;
  /// What is wrong if this text's key is not among ours; the text itself is not looked at.
  Result<void> check_key_of(std::string_view sealed) const;

 private:
  const SealKey* find(std::string_view id) const;
  Error no_key(std::string_view id) const;

  SealKeys keys_;
  std::string source_;
};

/// The names under which records are sealed.
std::string client_seal_name(std::string_view client_id);
std::string secret_seal_name(std::string_view secret_name);

}  // namespace gantry::auth

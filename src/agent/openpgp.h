// OpenPGP (RFC 4880), as much as variables that only a worker can read need: messages that were encrypted for its key.
// On RNP.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace gantry::agent {

inline constexpr std::size_t openpgp_plain_bytes_max = 256 * 1024;

/// A private key without passphrase. Safe from any thread: every call works on its own copy.
class OpenPgpKey {
 public:
  /// Armoured or binary. Errors (invalid_input) never repeat the text.
  static Result<OpenPgpKey> parse(std::string text);

  /// The plain text of a binary message. Error(invalid_input) unless it was encrypted for this key and is whole
  /// (messages without integrity protection are refused), Error(too_large) past openpgp_plain_bytes_max. What a
  /// signature in it is worth is not looked at. Takes milliseconds.
  Result<std::string> decrypt(std::string_view message) const;
  /// Armoured.
  std::string public_key() const;

 private:
  explicit OpenPgpKey(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// Throws Error: not_found, unavailable, invalid_input, and not_authorized if others than its owner may read the file.
OpenPgpKey read_openpgp_key(const std::string& path);

}  // namespace gantry::agent

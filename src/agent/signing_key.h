// The key with which a worker signs what it says about a task's run (chainOfTrust): ed25519, RFC 8032.
//
// Safe from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

struct evp_pkey_st;

namespace gantry::agent {

class SigningKey {
 public:
  /// A private key in PEM (PKCS #8), or its 32-byte seed in base64. Errors (invalid_input) never repeat the text.
  static Result<SigningKey> parse(std::string_view text);

  /// The 64 bytes of a signature.
  std::string sign(std::string_view bytes) const;
  /// In PEM, for `openssl pkeyutl -verify -pubin`.
  std::string public_key_pem() const;

 private:
  explicit SigningKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

/// Throws Error: not_found, unavailable, invalid_input, and not_authorized if others than its owner may read the file.
SigningKey read_signing_key(const std::string& path);

}  // namespace gantry::agent

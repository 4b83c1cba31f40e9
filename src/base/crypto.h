// SHA-256, HMAC-SHA-256 with a key that is prepared once, AES-256-GCM, comparison in constant time, hex. On OpenSSL's
// EVP; the digest is fetched once a process, because a fetch costs more than hashing a request.
//
// All of it is safe from any thread, except that one Sha256 object belongs to one thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace gantry {

using Sha256Digest = std::array<std::uint8_t, 32>;

/// Of the parts one after another, with nothing between them.
Sha256Digest sha256(std::initializer_list<std::string_view> parts);
inline Sha256Digest sha256(std::string_view bytes) { return sha256({bytes}); }

/// The digest's 32 bytes as text, valid as long as the digest.
inline std::string_view as_text(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// SHA-256 of bytes that come in pieces. After finish() the object may only be destroyed.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  Sha256Digest finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

/// A secret for HMAC-SHA-256, kept as the two hash states that follow from it: the secret's own bytes are not kept, and
/// a MAC costs two short hashes. Copies share the states and are cheap.
class HmacSha256Key {
 public:
  /// Any length; secrets longer than 64 bytes are hashed first, as RFC 2104 says.
  explicit HmacSha256Key(std::string_view secret);

  Sha256Digest mac(std::string_view message) const { return mac({message}); }
  /// Of the parts one after another, with nothing between them.
  Sha256Digest mac(std::initializer_list<std::string_view> parts) const;

 private:
  std::shared_ptr<const evp_md_ctx_st> inner_;
  std::shared_ptr<const evp_md_ctx_st> outer_;
};

inline constexpr std::size_t aes_key_bytes = 32;
inline constexpr std::size_t gcm_nonce_bytes = 12;
inline constexpr std::size_t gcm_tag_bytes = 16;
using AesKey = std::array<std::uint8_t, aes_key_bytes>;
using GcmNonce = std::array<std::uint8_t, gcm_nonce_bytes>;

/// AES-256-GCM: the ciphertext with its tag behind it. A nonce must never serve twice with one key; random ones are
/// safe for some 2^32 texts. `associated` is not in the result, but opening needs the same.
std::string aes_gcm_seal(const AesKey& key, const GcmNonce& nonce, std::string_view plain, std::string_view associated);
/// Nothing if key, nonce, `associated` or any bit of `sealed` is not what it was when it was sealed.
std::optional<std::string> aes_gcm_open(const AesKey& key, const GcmNonce& nonce, std::string_view sealed,
                                        std::string_view associated);
/// Overwrites a secret that is no longer needed.
void wipe(std::string& secret);

/// Takes as long for equal as for different contents of the same length; the length itself is no secret.
bool constant_time_equal(std::string_view a, std::string_view b);

/// Lower case.
std::string hex(std::string_view bytes);
inline std::string hex(const Sha256Digest& digest) { return hex(as_text(digest)); }

}  // namespace gantry

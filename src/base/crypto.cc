#include "base/crypto.h"

#include <climits>
#include <cstring>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/error.h"

namespace gantry {
namespace {

constexpr std::size_t block_bytes = 64;

const EVP_MD* digest_algorithm() {
  static const EVP_MD* const algorithm = [] {
    EVP_MD* fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    GANTRY_ASSERT(fetched != nullptr);  // OpenSSL is installed without its default provider
    return fetched;
  }();
  return algorithm;
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<EVP_MD_CTX, FreeContext>;

// With a digest that is there, these calls fail only when memory is exhausted; nothing sensible can follow from that.
ContextPtr new_context() {
  ContextPtr context(EVP_MD_CTX_new());
  GANTRY_ASSERT(context && EVP_DigestInit_ex2(context.get(), digest_algorithm(), nullptr) == 1);
  return context;
}

void absorb(EVP_MD_CTX* context, std::string_view bytes) {
  GANTRY_ASSERT(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1);
}

Sha256Digest finish_context(EVP_MD_CTX* context) {
  Sha256Digest digest;
  unsigned length = 0;
  GANTRY_ASSERT(EVP_DigestFinal_ex(context, digest.data(), &length) == 1 && length == digest.size());
  return digest;
}

/// A context to work in, one a thread: making one costs as much as a short hash.
EVP_MD_CTX* scratch_context() {
  thread_local ContextPtr context = new_context();
  return context.get();
}

std::shared_ptr<const EVP_MD_CTX> keyed_state(const std::array<char, block_bytes>& key, char pad) {
  std::array<char, block_bytes> padded;
  for (std::size_t i = 0; i < block_bytes; ++i) padded[i] = static_cast<char>(key[i] ^ pad);
  auto context = new_context();
  absorb(context.get(), {padded.data(), padded.size()});
  OPENSSL_cleanse(padded.data(), padded.size());
  return {context.release(), FreeContext()};
}

}  // namespace

Sha256Digest sha256(std::initializer_list<std::string_view> parts) {
  EVP_MD_CTX* context = scratch_context();
  GANTRY_ASSERT(EVP_DigestInit_ex2(context, nullptr, nullptr) == 1);
  for (auto part : parts) absorb(context, part);
  return finish_context(context);
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }
Sha256::Sha256() : context_(new_context().release()) {}
void Sha256::update(std::string_view bytes) { absorb(context_.get(), bytes); }
Sha256Digest Sha256::finish() { return finish_context(context_.get()); }

HmacSha256Key::HmacSha256Key(std::string_view secret) {
  std::array<char, block_bytes> key{};
  if (secret.size() > block_bytes) {
    auto digest = sha256(secret);
    std::memcpy(key.data(), digest.data(), digest.size());
  } else if (!secret.empty()) {
    std::memcpy(key.data(), secret.data(), secret.size());
  }
  inner_ = keyed_state(key, 0x36);
  outer_ = keyed_state(key, 0x5c);
  OPENSSL_cleanse(key.data(), key.size());
}

Sha256Digest HmacSha256Key::mac(std::initializer_list<std::string_view> parts) const {
  EVP_MD_CTX* context = scratch_context();
  GANTRY_ASSERT(EVP_MD_CTX_copy_ex(context, inner_.get()) == 1);
  for (auto part : parts) absorb(context, part);
  auto inner = finish_context(context);
  GANTRY_ASSERT(EVP_MD_CTX_copy_ex(context, outer_.get()) == 1);
  absorb(context, as_text(inner));
  return finish_context(context);
}

namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

/// Ready to take text; `sealing` says which way. 96-bit nonces are the default of this mode.
CipherPtr start_cipher(const AesKey& key, const GcmNonce& nonce, std::string_view associated, bool sealing) {
  CipherPtr cipher(EVP_CIPHER_CTX_new());
  GANTRY_ASSERT(cipher && associated.size() <= INT_MAX);
  GANTRY_ASSERT(
      EVP_CipherInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data(), sealing ? 1 : 0) == 1);
  int length = 0;
  GANTRY_ASSERT(
      EVP_CipherUpdate(cipher.get(), nullptr, &length, bytes_of(associated), static_cast<int>(associated.size())) == 1);
  return cipher;
}

}  // namespace

std::string aes_gcm_seal(const AesKey& key, const GcmNonce& nonce, std::string_view plain,
                         std::string_view associated) {
  GANTRY_ASSERT(plain.size() <= INT_MAX - gcm_tag_bytes);
  CipherPtr cipher = start_cipher(key, nonce, associated, true);
  std::string sealed(plain.size() + gcm_tag_bytes, '\0');
  int length = 0;
  int rest = 0;
  unsigned char* out = bytes_of(sealed);
  GANTRY_ASSERT(EVP_CipherUpdate(cipher.get(), out, &length, bytes_of(plain), static_cast<int>(plain.size())) == 1);
  GANTRY_ASSERT(EVP_CipherFinal_ex(cipher.get(), out + length, &rest) == 1);
  GANTRY_ASSERT(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, gcm_tag_bytes, out + plain.size()) == 1);
  return sealed;
}

std::optional<std::string> aes_gcm_open(const AesKey& key, const GcmNonce& nonce, std::string_view sealed,
                                        std::string_view associated) {
  if (sealed.size() < gcm_tag_bytes || sealed.size() > INT_MAX) return std::nullopt;
  std::string_view text = sealed.substr(0, sealed.size() - gcm_tag_bytes);
  std::string tag(sealed.substr(text.size()));
  CipherPtr cipher = start_cipher(key, nonce, associated, false);
  std::string plain(text.size(), '\0');
  int length = 0;
  int rest = 0;
  bool good =
      EVP_CipherUpdate(cipher.get(), bytes_of(plain), &length, bytes_of(text), static_cast<int>(text.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, gcm_tag_bytes, tag.data()) == 1 &&
      EVP_CipherFinal_ex(cipher.get(), bytes_of(plain) + length, &rest) == 1;
  if (good) return plain;
  wipe(plain);
  return std::nullopt;
}

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

bool constant_time_equal(std::string_view a, std::string_view b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

std::string hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out(bytes.size() * 2, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto byte = static_cast<unsigned char>(bytes[i]);
    out[2 * i] = digits[byte >> 4];
    out[2 * i + 1] = digits[byte & 15];
  }
  return out;
}

}  // namespace gantry

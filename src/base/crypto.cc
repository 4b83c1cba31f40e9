#include "base/crypto.h"

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

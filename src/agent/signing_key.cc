#include "agent/signing_key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "agent/key_file.h"
#include "base/base64.h"
#include "base/crypto.h"

namespace gantry::agent {
namespace {

constexpr std::size_t seed_bytes = 32;
constexpr std::size_t signature_bytes = 64;

using KeyPointer = std::shared_ptr<evp_pkey_st>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

/// Nobody is asked for a passphrase.
int no_passphrase(char*, int, int, void*) { return -1; }

KeyPointer from_pem(std::string_view text) {
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free);
  return KeyPointer(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr), &EVP_PKEY_free);
}

KeyPointer from_seed(std::string_view text) {
  auto seed = base64_decode(text);
  if (!seed || seed->size() != seed_bytes) return nullptr;
  auto* bytes = reinterpret_cast<const unsigned char*>(seed->data());
  KeyPointer key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes, seed_bytes), &EVP_PKEY_free);
  wipe(*seed);
  return key;
}

}  // namespace

Result<SigningKey> SigningKey::parse(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  KeyPointer key = text.starts_with("-----") ? from_pem(text) : from_seed(text);
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) {
    return Error(ErrorCode::invalid_input, "is no private ed25519 key",
                 "make one with: openssl genpkey -algorithm ed25519 -out FILE");
  }
  return SigningKey(std::move(key));
}

std::string SigningKey::sign(std::string_view bytes) const {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::string signature(signature_bytes, '\0');
  std::size_t length = signature.size();
  bool made = context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
              EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &length,
                             reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) == 1;
  if (!made || length != signature_bytes) throw Error(ErrorCode::internal, "OpenSSL cannot sign");
  return signature;
}

std::string SigningKey::public_key_pem() const {
  Bio bio(BIO_new(BIO_s_mem()), &BIO_free);
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), key_.get()) != 1) {
    throw Error(ErrorCode::internal, "OpenSSL cannot write a public key");
  }
  char* text = nullptr;
  long bytes = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(bytes)};
}

SigningKey read_signing_key(const std::string& path) {
  std::string text = read_key_file(path);
  auto key = SigningKey::parse(text);
  wipe(text);
  if (!key) throw key.error().in(path);
  return std::move(key).assume_value();
}

}  // namespace gantry::agent

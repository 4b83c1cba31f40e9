#include "base/sha512.h"

#include <array>

#include <openssl/evp.h>

#include "base/crypto.h"
#include "base/error.h"

namespace gantry {

void Sha512::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

// These calls fail only when memory is exhausted; nothing sensible can follow from that.
Sha512::Sha512() : context_(EVP_MD_CTX_new()) {
  GANTRY_ASSERT(context_ && EVP_DigestInit_ex2(context_.get(), EVP_sha512(), nullptr) == 1);
}

void Sha512::update(std::string_view bytes) {
  GANTRY_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha512::finish() {
  std::array<char, 64> digest;
  unsigned length = 0;
  auto* out = reinterpret_cast<unsigned char*>(digest.data());
  GANTRY_ASSERT(EVP_DigestFinal_ex(context_.get(), out, &length) == 1 && length == digest.size());
  return hex({digest.data(), digest.size()});
}

}  // namespace gantry

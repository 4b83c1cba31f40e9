// SHA-512 of bytes that come in pieces. Beside base/crypto.h, for objects whose uploaders ask for it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace gantry {

class Sha512 {
 public:
  Sha512();
  void update(std::string_view bytes);
  /// In hex, lower case. Afterwards the object may only be destroyed.
  std::string finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace gantry

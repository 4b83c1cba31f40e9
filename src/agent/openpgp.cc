#include "agent/openpgp.h"

#include <cstdio>
#include <memory>

#include <fcntl.h>
#include <rnp/rnp.h>
#include <rnp/rnp_err.h>

#include "agent/key_file.h"

namespace gantry::agent {
namespace {

template <auto destroy>
struct Destroy {
  template <class T>
  void operator()(T* object) const {
    destroy(object);
  }
};
template <class Handle, auto destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;
using Ffi = Owned<rnp_ffi_t, rnp_ffi_destroy>;
using Input = Owned<rnp_input_t, rnp_input_destroy>;
using Output = Owned<rnp_output_t, rnp_output_destroy>;
using Verify = Owned<rnp_op_verify_t, rnp_op_verify_destroy>;
using Key = Owned<rnp_key_handle_t, rnp_key_handle_destroy>;
using Iterator = Owned<rnp_identifier_iterator_t, rnp_identifier_iterator_destroy>;
using Buffer = Owned<char*, rnp_buffer_destroy>;

constexpr std::size_t public_key_bytes_max = 1 << 20;

Error no_key() {
  return Error(ErrorCode::invalid_input, "is no private OpenPGP key without passphrase",
               "make one with: gpg --batch --passphrase '' --quick-generate-key NAME rsa3072 encrypt never");
}

Input memory_input(std::string_view bytes) {
  rnp_input_t input = nullptr;
  rnp_input_from_memory(&input, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), false);
  return Input(input);
}

Output memory_output(std::size_t bytes_max) {
  rnp_output_t output = nullptr;
  rnp_output_to_memory(&output, bytes_max);
  return Output(output);
}

std::string content_of(const Output& output) {
  std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
  if (rnp_output_memory_get_buf(output.get(), &bytes, &size, false) != RNP_SUCCESS) return {};
  return {reinterpret_cast<const char*>(bytes), size};
}

/// A world of its own with the key in it; null if it is none.
Ffi with_key(const std::string& text) {
  rnp_ffi_t made = nullptr;
  if (rnp_ffi_create(&made, "GPG", "GPG") != RNP_SUCCESS) return nullptr;
  Ffi ffi(made);
  // It writes what it dislikes to stderr, which is the agent's log.
  if (int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0) rnp_ffi_set_log_fd(ffi.get(), nowhere);
  Input input = memory_input(text);
  rnp_result_t imported =
      rnp_import_keys(ffi.get(), input.get(), RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_SECRET_KEYS, nullptr);
  if (imported != RNP_SUCCESS) return nullptr;
  return ffi;
}

/// The first primary key; null if there is none.
Key first_key(const Ffi& ffi) {
  rnp_identifier_iterator_t made = nullptr;
  if (rnp_identifier_iterator_create(ffi.get(), &made, "fingerprint") != RNP_SUCCESS) return nullptr;
  Iterator iterator(made);
  const char* fingerprint = nullptr;
  while (rnp_identifier_iterator_next(iterator.get(), &fingerprint) == RNP_SUCCESS && fingerprint) {
    rnp_key_handle_t handle = nullptr;
    if (rnp_locate_key(ffi.get(), "fingerprint", fingerprint, &handle) != RNP_SUCCESS || !handle) continue;
    Key key(handle);
    bool primary = false;
    rnp_key_is_primary(key.get(), &primary);
    if (primary) return key;
  }
  return nullptr;
}

/// Encrypted, and nobody has changed it since.
bool is_protected(const Verify& operation) {
  char* mode_text = nullptr;
  char* cipher_text = nullptr;
  bool valid = false;
  rnp_result_t told = rnp_op_verify_get_protection_info(operation.get(), &mode_text, &cipher_text, &valid);
  Buffer mode(mode_text);
  Buffer cipher(cipher_text);
  if (told != RNP_SUCCESS || !valid || !mode) return false;
  std::string_view name = mode.get();
  return name != "none" && name != "cfb";
}

}  // namespace

Result<OpenPgpKey> OpenPgpKey::parse(std::string text) {
  Ffi ffi = with_key(text);
  if (!ffi) return no_key();
  Key key = first_key(ffi);
  if (!key) return no_key();
  bool secret = false;
  bool locked = true;
  rnp_key_have_secret(key.get(), &secret);
  if (secret) rnp_key_is_protected(key.get(), &locked);
  if (!secret || locked) return no_key();
  return OpenPgpKey(std::move(text));
}

Result<std::string> OpenPgpKey::decrypt(std::string_view message) const {
  Ffi ffi = with_key(text_);
  if (!ffi) return no_key();
  Input input = memory_input(message);
  Output output = memory_output(openpgp_plain_bytes_max);
  rnp_op_verify_t made = nullptr;
  if (rnp_op_verify_create(&made, ffi.get(), input.get(), output.get()) != RNP_SUCCESS) {
    return Error(ErrorCode::unavailable, "no memory to decrypt in");
  }
  Verify operation(made);
  rnp_op_verify_set_flags(operation.get(), RNP_VERIFY_IGNORE_SIGS_ON_DECRYPT);
  rnp_result_t done = rnp_op_verify_execute(operation.get());
  if (done == RNP_ERROR_WRITE || done == RNP_ERROR_OUT_OF_MEMORY) {
    return Error(ErrorCode::too_large, "what was encrypted is too large");
  }
  if (done != RNP_SUCCESS || !is_protected(operation)) {
    return Error(ErrorCode::invalid_input, "is no whole OpenPGP message for this worker's key");
  }
  return content_of(output);
}

std::string OpenPgpKey::public_key() const {
  Ffi ffi = with_key(text_);
  Key key = ffi ? first_key(ffi) : nullptr;
  Output output = memory_output(public_key_bytes_max);
  constexpr std::uint32_t what = RNP_KEY_EXPORT_ARMORED | RNP_KEY_EXPORT_PUBLIC | RNP_KEY_EXPORT_SUBKEYS;
  if (!key || rnp_key_export(key.get(), output.get(), what) != RNP_SUCCESS) {
    throw Error(ErrorCode::internal, "a public key cannot be written");
  }
  return content_of(output);
}

OpenPgpKey read_openpgp_key(const std::string& path) {
  auto key = OpenPgpKey::parse(read_key_file(path));
  if (!key) throw key.error().in(path);
  return std::move(key).assume_value();
}

}  // namespace gantry::agent

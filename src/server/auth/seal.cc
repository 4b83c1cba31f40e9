#include "server/auth/seal.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/env.h"
#include "base/text.h"

namespace gantry::auth {
namespace {

constexpr std::size_t key_id_bytes = 4;  // as hex: 8 digits

std::string_view text_of(const auto& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view space = " \t\r";
  while (!line.empty() && space.find(line.front()) != std::string_view::npos) line.remove_prefix(1);
  while (!line.empty() && space.find(line.back()) != std::string_view::npos) line.remove_suffix(1);
  return line;
}

Error damaged(std::string_view name) {
  return Error(ErrorCode::corrupt, fmt::format("what is stored of {} is not what was sealed", shorten(name, 200)),
               "set it anew, or restore the database from a backup");
}

/// Both halves of a sealed text; nothing if it is not one.
std::optional<std::pair<std::string_view, std::string_view>> split(std::string_view sealed) {
  auto colon = sealed.find(':');
  if (colon != 2 * key_id_bytes) return std::nullopt;
  return std::pair(sealed.substr(0, colon), sealed.substr(colon + 1));
}

}  // namespace

SealKey make_seal_key(const AesKey& key) {
  auto digest = sha256({"gantry seal key id:", text_of(key)});
  return {key, hex(as_text(digest).substr(0, key_id_bytes))};
}

SealKey random_seal_key(Env& env) {
  AesKey key;
  env.random_bytes(key);
  return make_seal_key(key);
}

Result<SealKeys> parse_seal_keys(std::string_view file) {
  SealKeys keys;
  for (int number = 1; !file.empty(); ++number) {
    auto end = std::min(file.find('\n'), file.size());
    std::string_view line = trimmed(file.substr(0, end));
    file.remove_prefix(std::min(end + 1, file.size()));
    if (line.empty() || line.starts_with('#')) continue;
    auto bytes = base64_decode(line);
    if (!bytes || bytes->size() != aes_key_bytes) {
      return Error(ErrorCode::invalid_input, fmt::format("line {} is not base64 of {} bytes", number, aes_key_bytes),
                   "put the file back from a backup; what is sealed with its keys cannot be read without them");
    }
    if (keys.size() >= seal_keys_max) {
      return Error(ErrorCode::invalid_input, fmt::format("there are more than {} keys", seal_keys_max),
                   "leave out the oldest ones, as far as nothing is sealed with them");
    }
    AesKey key;
    std::copy(bytes->begin(), bytes->end(), key.begin());
    wipe(*bytes);
    keys.push_back(make_seal_key(key));
  }
  if (keys.empty()) {
    return Error(ErrorCode::invalid_input, "there is no key in it", "put the file back from a backup");
  }
  return keys;
}

std::string seal_keys_text(const SealKeys& keys) {
  std::string text =
      "# Seals the secrets and access tokens in the database, which cannot be read without it. Keep a copy of this\n"
      "# file, apart from copies of the database. The first key seals, all of them open.\n";
  for (const SealKey& key : keys) text += base64_encode(text_of(key.key)) + "\n";
  return text;
}

Sealer::Sealer(SealKeys keys, std::string source) : keys_(std::move(keys)), source_(std::move(source)) {}

const SealKey* Sealer::find(std::string_view id) const {
  auto found = std::ranges::find(keys_, id, &SealKey::id);
  return found == keys_.end() ? nullptr : &*found;
}

Error Sealer::no_key(std::string_view id) const {
  std::string where = source_.empty() ? "the server was started without it" : "it is not in " + source_;
  return Error(
      ErrorCode::unavailable,
      fmt::format("stored secrets or access tokens are sealed with the key {}, and {}", shorten(id, 20), where),
      "put the key file back from a backup; if there is a new one already, add the old key to it as another "
      "line");
}

Result<std::string> Sealer::seal(Env& env, std::string_view plain, std::string_view name) const {
  if (keys_.empty()) {
    return Error(ErrorCode::unavailable, "the server was started without a key to seal secrets with");
  }
  GcmNonce nonce;
  env.random_bytes(nonce);
  std::string bytes(text_of(nonce));
  bytes += aes_gcm_seal(keys_.front().key, nonce, plain, name);
  return fmt::format("{}:{}", keys_.front().id, base64_encode(bytes));
}

Result<std::string> Sealer::open(std::string_view sealed, std::string_view name) const {
  TRY(check_key_of(sealed));
  auto parts = split(sealed);
  auto bytes = base64_decode(parts->second);
  if (!bytes || bytes->size() < gcm_nonce_bytes) return damaged(name);
  GcmNonce nonce;
  std::copy_n(bytes->begin(), gcm_nonce_bytes, nonce.begin());
  auto plain = aes_gcm_open(find(parts->first)->key, nonce, std::string_view(*bytes).substr(gcm_nonce_bytes), name);
  if (!plain) return damaged(name);
  return std::move(*plain);
}

Result<void> Sealer::check_key_of(std::string_view sealed) const {
  auto parts = split(sealed);
  if (!parts) return Error(ErrorCode::corrupt, "a stored secret is not sealed as it should be");
  if (!find(parts->first)) return no_key(parts->first);
  return success();
}

std::string client_seal_name(std::string_view client_id) { return fmt::format("client/{}", client_id); }
std::string secret_seal_name(std::string_view secret_name) { return fmt::format("secret/{}", secret_name); }

}  // namespace gantry::auth

#include "server/auth/certificate.h"

#include <algorithm>

#include <boost/json/monotonic_resource.hpp>
#include <fmt/format.h>

#include "base/base64.h"
#include "base/env.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/text.h"
#include "core/access/scopes.h"

namespace gantry::auth {
namespace {

constexpr std::int64_t certificate_version = 1;
constexpr std::size_t json_stack_bytes = 8 * 1024;    // a certificate of about 1 KB parses without the heap
constexpr std::int64_t ms_max = 253'402'300'799'999;  // the end of year 9999

Error refused(std::string message, std::string hint = {}) {
  return Error(ErrorCode::not_authenticated, std::move(message), std::move(hint));
}

/// The MAC over a certificate's lines. Scopes enter in the certificate's order.
Sha256Digest signature_of(const HmacSha256Key& key, std::string_view client_id, std::string_view issuer,
                          std::string_view seed, Time start, Time expiry, std::span<const std::string> scopes) {
  std::string lines;
  std::size_t bytes = 256 + client_id.size();
  for (const auto& scope : scopes) bytes += scope.size() + 1;
  lines.reserve(bytes);
  lines += "version:1\n";
  if (!issuer.empty()) {
    fmt::format_to(std::back_inserter(lines), "clientId:{}\nissuer:{}\n", client_id, issuer);
  }
  fmt::format_to(std::back_inserter(lines), "seed:{}\nstart:{}\nexpiry:{}\nscopes:", seed, to_ms(start), to_ms(expiry));
  for (const auto& scope : scopes) {
    lines += '\n';
    lines += scope;
  }
  return key.mac(lines);
}

Result<Time> read_ms(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64()) {
    return refused(fmt::format("the certificate's {} is not a whole number of milliseconds", key));
  }
  if (value->get_int64() < 0 || value->get_int64() > ms_max) {
    return refused(fmt::format("the certificate's {} is not a time before the year 10000", key));
  }
  return time_from_ms(value->get_int64());
}

Result<std::string> read_text(const json::object& object, std::string_view key, std::size_t bytes_max) {
  const auto* value = object.if_contains(key);
  const auto* text = value == nullptr ? nullptr : value->if_string();
  // A line break would let one text stand for several signed lines.
  if (text == nullptr || text->empty() || text->size() > bytes_max || !is_printable_ascii(*text)) {
    return refused(fmt::format("the certificate's {} is not printable text of at most {} bytes", key, bytes_max));
  }
  return std::string(*text);
}

Result<std::vector<std::string>> read_scopes(const json::value* value, std::string_view what) {
  const auto* array = value == nullptr ? nullptr : value->if_array();
  if (array == nullptr) return refused(fmt::format("{} is not a list", what));
  std::vector<std::string> scopes;
  scopes.reserve(array->size());
  for (const auto& element : *array) {
    const auto* text = element.if_string();
    if (text == nullptr || !access::is_valid_scope(*text)) {
      return refused(fmt::format("{} has an element that is not a scope", what));
    }
    scopes.emplace_back(*text);
  }
  return scopes;
}

Result<Certificate> read_certificate(const json::value& value) {
  constexpr std::size_t issuer_bytes_max = 1024;
  constexpr std::size_t signature_bytes_max = 44;
  const auto* object = value.if_object();
  if (object == nullptr) return refused("ext.certificate is not a JSON object");
  const auto* version = object->if_contains("version");
  if (version == nullptr || !version->is_int64() || version->get_int64() != certificate_version) {
    return refused("the certificate's version is not 1");
  }
  Certificate certificate;
  // Unnamed credentials have none; taskcluster-client-web writes that as null.
  const auto* issuer = object->if_contains("issuer");
  if (issuer != nullptr && !issuer->is_null()) {
    TRY(certificate.issuer, read_text(*object, "issuer", issuer_bytes_max));
  }
  TRY(certificate.scopes, read_scopes(object->if_contains("scopes"), "the certificate's scopes"));
  TRY(certificate.start, read_ms(*object, "start"));
  TRY(certificate.expiry, read_ms(*object, "expiry"));
  TRY(certificate.seed, read_text(*object, "seed", certificate_seed_bytes));
  if (certificate.seed.size() != certificate_seed_bytes) {
    return refused(fmt::format("the certificate's seed is not {} bytes long", certificate_seed_bytes));
  }
  TRY(certificate.signature, read_text(*object, "signature", signature_bytes_max));
  return certificate;
}

}  // namespace

std::string temporary_access_token(const HmacSha256Key& issuer_key, std::string_view seed) {
  return base64url_encode(as_text(issuer_key.mac(seed)));
}

std::string random_certificate_seed(Env& env) {
  std::string seed(certificate_seed_bytes, '\0');
  encode_slug(random_slug(env), seed.data());
  encode_slug(random_slug(env), seed.data() + certificate_seed_bytes / 2);
  return seed;
}

TemporaryCredentials issue(const Issuer& issuer, std::string_view name, std::span<const std::string> scopes, Time start,
                           Time expiry, std::string_view seed) {
  GANTRY_ASSERT(seed.size() == certificate_seed_bytes && is_printable_ascii(seed) && is_printable_ascii(name));
  GANTRY_ASSERT(name != issuer.client_id && expiry - start <= certificate_life_max);
  GANTRY_ASSERT(std::ranges::all_of(scopes, [](const auto& scope) { return access::is_valid_scope(scope); }));
  std::string_view named_issuer = name.empty() ? std::string_view() : issuer.client_id;

  TemporaryCredentials credentials;
  credentials.client_id = name.empty() ? issuer.client_id : name;
  credentials.access_token = temporary_access_token(issuer.key, seed);
  std::size_t bytes = 256 + named_issuer.size();
  for (const auto& scope : scopes) bytes += scope.size() + 3;
  auto& out = credentials.certificate;
  out.reserve(bytes);
  out += "{\"version\":1,\"scopes\":[";
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, scopes[i]);
  }
  fmt::format_to(std::back_inserter(out), "],\"start\":{},\"expiry\":{},\"seed\":", to_ms(start), to_ms(expiry));
  append_json_string(out, seed);
  out += ",\"signature\":\"";
  append_base64(out, as_text(signature_of(issuer.key, name, named_issuer, seed, start, expiry, scopes)));
  out += '"';
  if (!named_issuer.empty()) {
    out += ",\"issuer\":";
    append_json_string(out, named_issuer);
  }
  out += '}';
  return credentials;
}

Result<HawkExt> parse_ext(std::string_view text) {
  auto plain = base64_decode(text);
  if (!plain) return refused("ext is not base64");
  unsigned char buffer[json_stack_bytes];
  json::monotonic_resource memory(buffer, sizeof buffer);
  auto parsed = parse_json(*plain, &memory);
  // The parser's own message could repeat a piece of the text.
  if (!parsed) return refused("ext is not base64 of JSON");
  const auto* object = parsed.value().if_object();
  if (object == nullptr) return refused("ext is not a JSON object");
  HawkExt ext;
  if (const auto* certificate = object->if_contains("certificate")) {
    TRY(ext.certificate, read_certificate(*certificate));
  }
  if (const auto* scopes = object->if_contains("authorizedScopes")) {
    TRY(ext.authorized_scopes, read_scopes(scopes, "ext.authorizedScopes"));
  }
  return ext;
}

Result<void> verify_certificate(const Certificate& certificate, std::string_view client_id, const Issuer& issuer) {
  bool named = !certificate.issuer.empty();
  if (named && certificate.issuer == client_id) {
    return refused("the certificate's issuer is the client itself", "leave the issuer out of unnamed credentials");
  }
  if ((named ? std::string_view(certificate.issuer) : client_id) != issuer.client_id) {
    return refused("the certificate was issued by a client that is not known here");
  }
  if (certificate.expiry - certificate.start > certificate_life_max) {
    return refused("the certificate is for longer than 31 days");
  }
  auto expected = base64_encode(as_text(signature_of(issuer.key, client_id, certificate.issuer, certificate.seed,
                                                     certificate.start, certificate.expiry, certificate.scopes)));
  if (!constant_time_equal(expected, certificate.signature)) {
    return refused("the certificate's signature is wrong",
                   "use the credentials exactly as they were issued, and with the client id they were issued for");
  }
  return success();
}

Result<void> check_certificate_time(Time start, Time expiry, Time now) {
  if (start > now + certificate_clock_tolerance) {
    return refused(
        fmt::format("the certificate is not valid before {}; here it is {}", format_time(start), format_time(now)),
        "compare the clocks");
  }
  if (expiry < now - certificate_clock_tolerance) {
    return refused(fmt::format("the certificate expired at {}; here it is {}", format_time(expiry), format_time(now)),
                   "get new credentials");
  }
  return success();
}

}  // namespace gantry::auth

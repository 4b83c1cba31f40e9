#include "wire/hawk.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/env.h"
#include "base/json.h"
#include "base/text.h"

namespace gantry::wire {
namespace {

constexpr std::size_t digits_max = 12;             // seconds since 1970: enough until the year 33658
constexpr std::size_t mac_text_bytes = 44;         // base64 of 32 bytes
constexpr std::size_t normalized_bytes_min = 512;  // most signed texts without ext fit

Error refused(std::string message, std::string hint = {}) {
  return Error(ErrorCode::not_authenticated, std::move(message), std::move(hint));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; }

std::optional<std::int64_t> parse_seconds(std::string_view text) {
  std::int64_t value = 0;
  if (text.empty() || text.size() > digits_max || text[0] == '-') return std::nullopt;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What a signature covers, in the order of the signed lines.
struct SignedText {
  std::string_view kind;  // "header" or "bewit"
  std::string_view ts;
  std::string_view nonce;
  std::string_view hash;
  std::string_view ext;
  std::string_view app;
  std::string_view dlg;
};

Sha256Digest mac_of(const HmacSha256Key& key, const SignedText& text, const HawkTarget& request) {
  std::string lines;
  lines.reserve(normalized_bytes_min + request.target.size());
  auto line = [&lines](std::string_view part) {
    lines += part;
    lines += '\n';
  };
  lines += "hawk.1.";
  line(text.kind);
  line(text.ts);
  line(text.nonce);
  for (char c : request.method) lines += upper(c);
  lines += '\n';
  line(request.target);
  for (char c : request.host) lines += lower(c);
  lines += '\n';
  char port[8];
  auto end = std::to_chars(port, port + sizeof port, request.port).ptr;
  line({port, static_cast<std::size_t>(end - port)});
  line(text.hash);
  // ext is the long part, a certificate mostly, so it is hashed from where it stands. The parsers refuse the characters
  // that Hawk would escape here.
  if (text.app.empty()) return key.mac({lines, text.ext, "\n"});
  return key.mac({lines, text.ext, "\n", text.app, "\n", text.dlg, "\n"});
}

bool is_value_character(char c) { return c >= 0x20 && c <= 0x7E && c != '"' && c != '\\'; }

struct Cursor {
  std::string_view rest;

  void skip_spaces() {
    while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
  }
  bool take(char c) {
    if (rest.empty() || rest[0] != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  template <class Accept>
  std::string_view take_while(Accept accept) {
    std::size_t length = 0;
    while (length < rest.size() && accept(rest[length])) ++length;
    auto taken = rest.substr(0, length);
    rest.remove_prefix(length);
    return taken;
  }
};

struct Attribute {
  std::string_view name;
  std::string_view HawkHeader::* member;
};
constexpr Attribute attributes[] = {
    {"id", &HawkHeader::id},     {"ts", &HawkHeader::ts},   {"nonce", &HawkHeader::nonce}, {"mac", &HawkHeader::mac},
    {"hash", &HawkHeader::hash}, {"ext", &HawkHeader::ext}, {"app", &HawkHeader::app},     {"dlg", &HawkHeader::dlg}};

/// Reads one `name="value"` into `header`; `seen` has a bit for each attribute.
Result<void> take_attribute(Cursor& cursor, HawkHeader& header, unsigned& seen) {
  auto name = cursor.take_while([](char c) { return c >= 'a' && c <= 'z'; });
  auto found = std::ranges::find(attributes, name, &Attribute::name);
  if (found == std::end(attributes)) return refused("the Hawk header has an attribute that Hawk does not know");
  unsigned bit = 1u << (found - attributes);
  if (seen & bit) return refused(fmt::format("the Hawk header has the attribute '{}' twice", name));
  seen |= bit;
  if (!cursor.take('=') || !cursor.take('"')) {
    return refused(fmt::format("the Hawk header's attribute '{}' is not followed by =\"value\"", name));
  }
  header.*found->member = cursor.take_while(is_value_character);
  if (!cursor.take('"')) {
    return refused(
        fmt::format("the Hawk header's attribute '{}' does not end, or holds a character it must not", name));
  }
  return success();
}

Result<void> check_complete(HawkHeader& header) {
  for (const auto& attribute : attributes) {
    bool needed =
        attribute.name == "id" || attribute.name == "ts" || attribute.name == "nonce" || attribute.name == "mac";
    if (needed && (header.*attribute.member).empty()) {
      return refused(fmt::format("the Hawk header lacks the attribute '{}'", attribute.name));
    }
  }
  if (header.id.size() > hawk_client_id_bytes_max) return refused("the Hawk header's id is too long");
  auto seconds = parse_seconds(header.ts);
  if (!seconds) return refused("the Hawk header's ts is not a number of seconds since 1970");
  header.ts_seconds = *seconds;
  if (header.app.empty() && !header.dlg.empty()) return refused("the Hawk header has dlg without app");
  return success();
}

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

std::string make_ext(const HawkCredentials& credentials, const std::vector<std::string>& authorized_scopes) {
  if (credentials.certificate.empty() && authorized_scopes.empty()) return {};
  std::string text;
  JsonWriter writer(text);
  writer.begin_object();
  if (!credentials.certificate.empty()) writer.key("certificate").raw(credentials.certificate);
  if (!authorized_scopes.empty()) {
    writer.key("authorizedScopes").begin_array();
    for (const auto& scope : authorized_scopes) writer.string(scope);
    writer.end_array();
  }
  writer.end_object();
  return base64_encode(text);
}

}  // namespace

Result<HawkHeader> parse_hawk_header(std::string_view value) {
  if (value.size() > hawk_header_bytes_max) {
    return refused(fmt::format("the Authorization header is longer than {} bytes", hawk_header_bytes_max),
                   "use credentials with fewer scopes");
  }
  Cursor cursor{value};
  cursor.skip_spaces();
  auto scheme = cursor.take_while([](char c) { return c != ' ' && c != '\t'; });
  if (!std::ranges::equal(scheme, std::string_view("hawk"), {}, lower)) {
    return refused("the Authorization header does not use the Hawk scheme");
  }
  HawkHeader header;
  unsigned seen = 0;
  cursor.skip_spaces();
  while (!cursor.rest.empty()) {
    TRY(take_attribute(cursor, header, seen));
    cursor.skip_spaces();
    if (cursor.rest.empty()) break;
    if (!cursor.take(',')) return refused("the Hawk header's attributes are not separated by commas");
    cursor.skip_spaces();
  }
  TRY(check_complete(header));
  return header;
}

Result<std::optional<BewitTarget>> take_bewit(std::string_view target) {
  constexpr std::string_view name = "bewit=";
  auto question = target.find('?');
  if (question == std::string_view::npos || target.find(name, question) == std::string_view::npos) {
    return std::optional<BewitTarget>();
  }
  std::optional<std::string_view> bewit;
  std::string kept(target.substr(0, question));
  char separator = '?';
  for (std::size_t at = question + 1; at <= target.size();) {
    auto end = std::min(target.find('&', at), target.size());
    auto part = target.substr(at, end - at);
    at = end + 1;
    if (!part.starts_with(name)) {
      kept += separator;
      kept += part;
      separator = '&';
      continue;
    }
    if (bewit) return refused("the URL has more than one bewit");
    bewit = part.substr(name.size());
  }
  if (!bewit) return std::optional<BewitTarget>();
  return std::optional(BewitTarget{std::move(kept), *bewit});
}

Result<Bewit> parse_bewit(std::string_view text) {
  constexpr std::size_t parts_count = 4;
  if (text.size() > hawk_bewit_bytes_max) {
    return refused(fmt::format("the bewit is longer than {} bytes", hawk_bewit_bytes_max));
  }
  while (text.ends_with('=')) text.remove_suffix(1);
  auto plain = base64url_decode(text);
  if (!plain) return refused("the bewit is not base64url", "use the URL exactly as it was given out");
  std::array<std::string, parts_count> parts;
  std::size_t count = 0;
  for (std::size_t at = 0; at <= plain->size(); ++count) {
    auto end = std::min(plain->find('\\', at), plain->size());
    if (count < parts_count) parts[count] = plain->substr(at, end - at);
    at = end + 1;
  }
  if (count != parts_count) return refused("the bewit does not have four parts");
  Bewit bewit{std::move(parts[0]), std::move(parts[1]), std::move(parts[2]), std::move(parts[3]), 0};
  if (bewit.id.empty() || bewit.id.size() > hawk_client_id_bytes_max || !is_printable_ascii(bewit.id)) {
    return refused("the bewit's client id is empty, too long or not printable");
  }
  if (has_control_character(bewit.ext)) return refused("the bewit's ext has control characters");
  auto seconds = parse_seconds(bewit.expires);
  if (!seconds) return refused("the bewit's expiry is not a number of seconds since 1970");
  bewit.expires_seconds = *seconds;
  return bewit;
}

Sha256Digest hawk_mac(const HmacSha256Key& key, const HawkHeader& header, const HawkTarget& request) {
  SignedText text{"header", header.ts, header.nonce, header.hash, header.ext, header.app, header.dlg};
  return mac_of(key, text, request);
}

Sha256Digest hawk_mac(const HmacSha256Key& key, const Bewit& bewit, const HawkTarget& request) {
  return mac_of(key, {"bewit", bewit.expires, {}, {}, bewit.ext, {}, {}}, request);
}

bool hawk_mac_matches(const Sha256Digest& expected, std::string_view sent) {
  return sent.size() == mac_text_bytes && constant_time_equal(base64_encode(as_text(expected)), sent);
}

std::string hawk_payload_hash(std::string_view content_type, std::string_view body) {
  auto type = content_type.substr(0, content_type.find(';'));
  constexpr std::string_view spaces = " \t";
  auto first = type.find_first_not_of(spaces);
  type = first == std::string_view::npos ? std::string_view()
                                         : type.substr(first, type.find_last_not_of(spaces) + 1 - first);
  std::string start = "hawk.1.payload\n";
  for (char c : type) start += lower(c);
  start += '\n';
  Sha256 hash;
  hash.update(start);
  hash.update(body);
  hash.update("\n");
  return base64_encode(as_text(hash.finish()));
}

std::optional<HostPort> parse_host_port(std::string_view text) {
  HostPort result;
  auto host_end = text.starts_with('[') ? text.find(']') + 1 : std::min(text.find(':'), text.size());
  result.host = text.substr(0, host_end);
  if (result.host.empty() || !std::ranges::all_of(result.host, [](char c) { return c > 0x20 && c < 0x7F; })) {
    return std::nullopt;
  }
  text.remove_prefix(host_end);
  if (text.empty()) return result;
  if (text[0] != ':') return std::nullopt;
  text.remove_prefix(1);
  std::uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  result.port = port;
  return result;
}

HawkSigner::HawkSigner(const HawkCredentials& credentials, const std::vector<std::string>& authorized_scopes)
    : client_id_(credentials.client_id),
      key_(credentials.access_token),
      certificate_(credentials.certificate),
      ext_(make_ext(credentials, authorized_scopes)) {}

HawkSigner HawkSigner::narrowed(const std::vector<std::string>& authorized_scopes) const {
  HawkSigner narrow = *this;
  narrow.ext_ = make_ext({client_id_, {}, certificate_}, authorized_scopes);
  return narrow;
}

std::string HawkSigner::header(const HawkTarget& request, Time now, std::string_view nonce,
                               std::string_view payload_hash) const {
  auto ts = std::to_string(std::chrono::floor<seconds>(now).time_since_epoch().count());
  auto mac = mac_of(key_, {"header", ts, nonce, payload_hash, ext_, {}, {}}, request);
  std::string out;
  out.reserve(128 + client_id_.size() + payload_hash.size() + ext_.size() + mac_text_bytes);
  auto attribute = [&out](std::string_view name, std::string_view value) {
    out += name;
    out += "=\"";
    out += value;
    out += "\", ";
  };
  out += "Hawk ";
  attribute("id", client_id_);
  attribute("ts", ts);
  attribute("nonce", nonce);
  if (!payload_hash.empty()) attribute("hash", payload_hash);
  if (!ext_.empty()) attribute("ext", ext_);
  out += "mac=\"";
  append_base64(out, as_text(mac));
  out += '"';
  return out;
}

std::string HawkSigner::bewit(std::string_view target, std::string_view host, std::uint16_t port, Time expires) const {
  auto seconds_text = std::to_string(std::chrono::floor<seconds>(expires).time_since_epoch().count());
  auto mac = mac_of(key_, {"bewit", seconds_text, {}, {}, ext_, {}, {}}, {"GET", target, host, port});
  return base64url_encode(fmt::format("{}\\{}\\{}\\{}", client_id_, seconds_text, base64_encode(as_text(mac)), ext_));
}

std::string hawk_nonce(Env& env) {
  std::array<std::uint8_t, 6> bytes;
  env.random_bytes(bytes);
  return base64url_encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace gantry::wire

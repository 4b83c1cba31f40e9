#include "wire/aws_signature.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/crypto.h"

namespace gantry::wire {
namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";

/// "20130524T000000Z"
std::string compact_time(Time now) {
  std::string text;
  for (char c : format_time(now).substr(0, 19)) {
    if (c != '-' && c != ':') text += c;
  }
  return text + "Z";
}

/// Sorted by name; each with its "=".
std::string canonical_query(std::string_view query) {
  std::vector<std::string> parts;
  while (!query.empty()) {
    std::string part(query.substr(0, query.find('&')));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part.find('=') == std::string::npos) part += "=";
    parts.push_back(std::move(part));
  }
  std::ranges::sort(parts);
  return fmt::format("{}", fmt::join(parts, "&"));
}

std::string signing_key(std::string_view secret, std::string_view date, std::string_view region,
                        std::string_view service) {
  std::string key = fmt::format("AWS4{}", secret);
  for (std::string_view part : {date, region, service, std::string_view("aws4_request")}) {
    key = std::string(as_text(HmacSha256Key(key).mac(part)));
  }
  return key;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> aws_headers(const AwsRequest& request,
                                                             const AwsCredentials& credentials, std::string_view region,
                                                             std::string_view service, Time now) {
  std::string time = compact_time(now);
  std::string date = time.substr(0, 8);
  std::string content = hex(sha256(request.body));
  std::vector<std::pair<std::string, std::string>> headers{{"x-amz-content-sha256", content}, {"x-amz-date", time}};
  if (!credentials.session_token.empty()) headers.emplace_back("x-amz-security-token", credentials.session_token);

  std::string lines = fmt::format("host:{}\n", request.host);
  std::string names = "host";
  for (const auto& [name, value] : headers) {
    lines += fmt::format("{}:{}\n", name, value);
    names += ";" + name;
  }
  std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path,
                                      canonical_query(request.query), lines, names, content);
  std::string scope = fmt::format("{}/{}/{}/aws4_request", date, region, service);
  std::string to_sign = fmt::format("{}\n{}\n{}\n{}", algorithm, time, scope, hex(sha256(canonical)));
  std::string signature = hex(HmacSha256Key(signing_key(credentials.secret, date, region, service)).mac(to_sign));
  headers.emplace_back("authorization", fmt::format("{} Credential={}/{},SignedHeaders={},Signature={}", algorithm,
                                                    credentials.key_id, scope, names, signature));
  return headers;
}

}  // namespace gantry::wire

#include "engine/docker/pull_progress.h"

#include <algorithm>
#include <array>

#include <boost/json.hpp>
#include <fmt/core.h>

#include "engine/docker/limits.h"

namespace gantry::engine::docker {

namespace json = boost::json;

namespace {

template <std::size_t Count>
bool has_any(std::string_view text, const std::array<std::string_view, Count>& words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

constexpr std::array<std::string_view, 12> unreachable_words = {"dial tcp",
                                                                "no such host",
                                                                "i/o timeout",
                                                                "connection refused",
                                                                "connection reset",
                                                                "handshake timeout",
                                                                "x509:",
                                                                "context deadline exceeded",
                                                                "Client.Timeout",
                                                                "toomanyrequests",
                                                                "server gave HTTP response to HTTPS client",
                                                                "no space left on device"};
constexpr std::array<std::string_view, 6> unauthorized_words = {
    "unauthorized",       "authentication required",          "no basic auth credentials",
    "pull access denied", "access to the resource is denied", "access forbidden"};
constexpr std::array<std::string_view, 5> not_found_words = {"manifest unknown", "not found", "does not exist",
                                                             "no matching manifest", "name unknown"};

std::string_view text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

std::int64_t count_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_int64() ? std::max<std::int64_t>(0, value->get_int64()) : 0;
}

}  // namespace

Error pull_error(std::string_view image, int status, std::string_view reason) {
  reason = reason.substr(0, error_text_bytes_max);
  if (has_any(reason, unreachable_words)) {
    return Error(ErrorCode::unavailable, fmt::format("image {} could not be pulled: {}", image, reason),
                 "check that this machine's container engine reaches the registry, or load the image by hand");
  }
  if (status == 401 || status == 403 || has_any(reason, unauthorized_words)) {
    return Error(ErrorCode::not_authorized,
                 fmt::format("image {} not found, or unauthorized to pull it: {}", image, reason),
                 "check the spelling; for a private image the agent needs the registry's credentials (--registries)");
  }
  if (status == 404 || has_any(reason, not_found_words)) {
    return Error(ErrorCode::not_found, fmt::format("image {} not found: {}", image, reason),
                 "check the name and the tag");
  }
  if (status == 400) return Error(ErrorCode::invalid_input, fmt::format("image {}: {}", image, reason));
  return Error(ErrorCode::unavailable, fmt::format("image {} could not be pulled: {}", image, reason));
}

void PullProgress::feed(std::string_view bytes, Duration uptime) {
  while (!bytes.empty()) {
    std::size_t newline = bytes.find('\n');
    std::string_view part = bytes.substr(0, newline);
    if (line_.size() + part.size() > pull_line_bytes_max) {
      throw Error(ErrorCode::unsupported, fmt::format("the engine sent a line of progress of over {} bytes while it "
                                                      "pulled {}",
                                                      pull_line_bytes_max, image_));
    }
    line_.append(part);
    if (newline == std::string_view::npos) return;
    take_line(line_, uptime);
    line_.clear();
    bytes.remove_prefix(newline + 1);
  }
}

void PullProgress::finish(Duration uptime) {
  if (!line_.empty()) take_line(line_, uptime);
  line_.clear();
}

void PullProgress::take_line(std::string_view line, Duration uptime) {
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
  boost::system::error_code failed;
  json::value value = json::parse(line, failed);
  if (failed || !value.is_object()) {
    throw Error(ErrorCode::unsupported,
                fmt::format("the engine sent \"{}\" while it pulled {}, where a JSON object was "
                            "expected",
                            line.substr(0, 80), image_));
  }
  const json::object& object = value.get_object();
  if (object.contains("error") || object.contains("errorDetail")) {
    std::string_view reason = text_at(object, "error");
    const json::value* detail = object.if_contains("errorDetail");
    if (reason.empty() && detail && detail->is_object()) reason = text_at(detail->get_object(), "message");
    throw pull_error(image_, 200, reason.empty() ? "the engine gave no reason" : reason);
  }
  std::string_view status = text_at(object, "status");
  std::string_view layer = text_at(object, "id");
  if (layer.empty() || status.starts_with("Pulling from")) {
    if (report_ && !status.empty()) report_(std::string(status));
    return;
  }
  const json::value* detail = object.if_contains("progressDetail");
  bool unpacks = status == "Extracting";
  if ((status != "Downloading" && !unpacks) || !detail || !detail->is_object()) return;
  if (layers_.size() >= pull_layers_max && !layers_.contains(layer)) return;
  Layer& known = layers_[std::string(layer)];
  if (unpacks) {
    known.bytes_unpacked = count_at(detail->get_object(), "current");
  } else {
    known.bytes = count_at(detail->get_object(), "current");
    known.bytes_total = count_at(detail->get_object(), "total");
  }
  report_bytes(uptime);
}

void PullProgress::report_bytes(Duration uptime) {
  if (reported_ != Duration{} && uptime - reported_ < pull_progress_interval) return;
  reported_ = uptime;
  if (!report_) return;
  double bytes = 0;
  double bytes_total = 0;
  double bytes_unpacked = 0;
  for (const auto& [id, layer] : layers_) {
    bytes += static_cast<double>(layer.bytes);
    bytes_total += static_cast<double>(std::max(layer.bytes, layer.bytes_total));
    bytes_unpacked += static_cast<double>(layer.bytes_unpacked);
  }
  std::string unpacked = bytes_unpacked > 0 ? fmt::format(", unpacked {:.1f} MB", bytes_unpacked / 1e6) : "";
  report_(fmt::format("downloaded {:.1f} of {:.1f} MB in {} layers{}", bytes / 1e6, bytes_total / 1e6, layers_.size(),
                      unpacked));
}

}  // namespace gantry::engine::docker

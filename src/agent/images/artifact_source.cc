#include "agent/images/artifact_source.h"

#include <charconv>

#include <fmt/format.h>

#include "agent/images/limits.h"
#include "agent/limits.h"
#include "base/json.h"

namespace gantry::agent {
namespace {

constexpr std::string_view public_folder = "public/";
constexpr std::size_t url_bytes_max = 16u << 10;
constexpr Duration artifact_read_timeout = seconds(60);  // up to the header, and for each piece

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Async<Error> refusal(net::OpenResponse answer) {
  answer.head.body = co_await net::read_all(*answer.body, refusal_bytes_max);
  co_return answer_error(answer.head);
}

/// The next address. A URL may hold a signature, so no error quotes it.
std::string location_of(const net::IncomingResponse& head) {
  std::string location(head.headers.get("location"));
  if (location.empty() || location.size() > url_bytes_max) {
    throw Error(ErrorCode::invalid_input, fmt::format("the answer {} leads nowhere", head.status));
  }
  return location;
}

Error in_artifact(const Error& error, std::string_view task, std::string_view path) {
  return error.in(fmt::format("Could not download artifact \"{}\" of task {}", path, task));
}

Async<std::string> locate(ServerApi& server, Signer signer, std::string task, std::string path) {
  // The escaped name keeps its slashes apart from those of the route.
  std::string target = fmt::format("/api/queue/v1/task/{}/artifacts/{}", task, net::percent_encode(path));
  if (path.starts_with(public_folder)) signer = nullptr;
  net::OpenResponse answer = co_await server.open(std::move(signer), std::move(target), artifact_read_timeout);
  if (!is_redirect(answer.head.status)) throw co_await refusal(std::move(answer));
  co_return location_of(answer.head);
}

}  // namespace

Async<std::string> find_indexed_task(ServerApi& server, Signer signer, std::string index_namespace) {
  std::string target = "/api/index/v1/task/" + net::percent_encode(index_namespace);
  std::optional<Error> failure;
  try {
    std::string answer =
        co_await server.call(std::move(signer), net::Method::get, std::move(target), "", "", request_timeout);
    json::value document = value_or_throw(parse_json(answer));
    const json::object* object = document.if_object();
    const json::value* id = object ? object->if_contains("taskId") : nullptr;
    auto task = id && id->is_string() ? TaskId::parse(std::string_view(id->get_string())) : std::nullopt;
    if (!task) throw Error(ErrorCode::invalid_input, "the index's answer has no task");
    co_return task->to_string();
  } catch (const Error& error) {
    failure = error;
  }
  if (failure->code() == ErrorCode::not_found) {
    throw Error(ErrorCode::not_found,
                fmt::format("Could not find a task associated with the namespace \"{}\"", index_namespace),
                "look whether the task that makes the image has been indexed");
  }
  throw failure->in(fmt::format("looking up \"{}\" in the index", index_namespace));
}

Async<std::string> find_artifact(ServerApi& server, Signer signer, std::string task, std::string path) {
  std::optional<Error> failure;
  try {
    co_return co_await locate(server, std::move(signer), task, path);
  } catch (const Error& error) {
    failure = error;
  }
  throw in_artifact(*failure, task, path);
}

Async<Download> open_artifact(ServerApi& server, std::string url) {
  for (int redirects = 0;; ++redirects) {
    bool trusted = url.starts_with('/') || url.starts_with("https://") || server.is_own(url);
    if (!trusted) {
      throw Error(ErrorCode::not_authorized, "the artifact is neither on the server nor behind https",
                  "reference artifacts that images come from need an https URL");
    }
    net::OpenResponse answer = co_await server.open(nullptr, url, artifact_read_timeout);
    if (is_redirect(answer.head.status)) {
      if (redirects == redirects_max) throw Error(ErrorCode::invalid_input, "the artifact's URL leads on and on");
      std::string next = location_of(answer.head);
      // A path is that of the server which said so; ours knows only its own.
      if (next.starts_with('/') && !url.starts_with('/')) {
        next.insert(0, url, 0, url.find('/', url.find("://") + 3));
      }
      url = std::move(next);
      continue;
    }
    if (answer.head.status != 200) throw co_await refusal(std::move(answer));
    Download download;
    download.body = std::move(answer.body);
    download.content_encoding = answer.head.headers.get("content-encoding");
    std::string_view length = answer.head.headers.get("content-length");
    if (!length.empty()) {
      auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), download.bytes);
      if (error != std::errc() || download.bytes < 0) download.bytes = -1;
    }
    co_return download;
  }
}

}  // namespace gantry::agent

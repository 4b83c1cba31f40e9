#include "engine/docker/images.h"

#include <array>

#include <fmt/core.h>

#include "engine/docker/image_reference.h"
#include "engine/docker/output_stream.h"
#include "engine/docker/pull_progress.h"

namespace gantry::engine::docker {

namespace {

std::string image_path(const std::string& image) { return "/images/" + net::percent_encode(image); }

/// A load fails for what was sent, unless the engine says that it is the engine.
Error load_error(std::string_view reason) {
  constexpr std::array<std::string_view, 4> engine_words = {"no space left", "input/output error",
                                                            "read-only file system", "context canceled"};
  bool engines_fault = false;
  for (std::string_view word : engine_words)
    engines_fault = engines_fault || reason.find(word) != std::string_view::npos;
  return Error(engines_fault ? ErrorCode::unavailable : ErrorCode::invalid_input,
               fmt::format("docker: the image could not be loaded: {}", reason),
               engines_fault ? "look at the engine's disk and at its log"
                             : "the archive must be what docker save writes, whole and not compressed twice");
}

}  // namespace

Async<std::optional<ImageInfo>> Images::inspect(std::string image) {
  parse_image_reference(image);
  std::string what = "look for image " + image;
  net::IncomingResponse answer = co_await requests_->exchange({.path = image_path(image) + "/json", .what = what});
  if (answer.status == 404) co_return std::nullopt;
  if (!is_success(answer.status)) throw status_error(answer.status, answer.body, what);
  co_return parse_image(answer.body);
}

Async<> Images::pull(std::string image, std::optional<RegistryLogin> login, std::function<void(std::string)> progress) {
  ImageReference reference = parse_image_reference(image);
  net::Headers headers;
  if (login) headers.add("X-Registry-Auth", registry_auth(*login));
  net::OpenResponse answer =
      co_await requests_->open({.method = net::Method::post,
                                .path = "/images/create?fromImage=" + net::percent_encode(reference.name) +
                                        "&tag=" + net::percent_encode(reference.tag),
                                .what = "pull image " + image,
                                .timeout = pull_silence_timeout,
                                .headers = std::move(headers)});
  if (!is_success(answer.head.status)) {
    throw pull_error(image, answer.head.status, error_text(answer.head.status, answer.head.body));
  }
  auto body = in_context(answer.body, "pull image " + image);
  PullProgress lines(image, std::move(progress));
  while (true) {
    std::string bytes = co_await body->read_some();
    if (bytes.empty()) break;
    lines.feed(bytes, requests_->env().uptime());
  }
  lines.finish(requests_->env().uptime());
}

Async<std::vector<ImageInfo>> Images::list() {
  co_return parse_image_list(
      co_await requests_->call({.path = "/images/json", .what = "list images", .body_bytes_max = list_bytes_max}));
}

Async<std::vector<std::string>> Images::load(std::shared_ptr<net::BodyReader> tar, std::int64_t bytes) {
  // Quiet, for the engine answers while it reads: progress that nobody takes yet would stop it.
  net::IncomingResponse answer = co_await requests_->exchange({.method = net::Method::post,
                                                               .path = "/images/load?quiet=1",
                                                               .what = "load an image",
                                                               .timeout = image_load_timeout,
                                                               .archive = std::move(tar),
                                                               .archive_bytes = bytes});
  if (!is_success(answer.status)) throw load_error(error_text(answer.status, answer.body));
  LoadResult loaded = parse_load(answer.body);
  if (!loaded.error.empty()) throw load_error(loaded.error);
  if (loaded.images.empty()) throw load_error("the archive holds no image");
  co_return std::move(loaded.images);
}

Async<std::shared_ptr<net::BodyReader>> Images::save(std::string image) {
  parse_image_reference(image);
  co_return co_await requests_->open_body(
      {.path = image_path(image) + "/get", .what = "save image " + image, .timeout = image_save_timeout});
}

Async<> Images::tag(std::string id, std::string reference) {
  parse_image_reference(id);
  co_await requests_->call({.method = net::Method::post,
                            .path = image_path(id) + "/tag?" + repository_query(reference),
                            .what = fmt::format("tag image {} as {}", id, reference)});
}

Async<> Images::remove(std::string reference) {
  parse_image_reference(reference);
  std::string what = "remove image " + reference;
  net::IncomingResponse answer = co_await requests_->exchange(
      {.method = net::Method::delete_, .path = image_path(reference), .what = what, .timeout = removal_timeout});
  if (answer.status == 404 || is_success(answer.status)) co_return;
  throw status_error(answer.status, answer.body, what);
}

Async<std::string> Images::commit(std::string container, std::string reference) {
  container = checked_id(std::move(container));
  std::string answer =
      co_await requests_->call({.method = net::Method::post,
                                .path = "/commit?container=" + container + "&" + repository_query(reference),
                                .what = fmt::format("commit container {} as {}", short_id(container), reference),
                                .timeout = commit_timeout});
  co_return parse_id(answer);
}

}  // namespace gantry::engine::docker

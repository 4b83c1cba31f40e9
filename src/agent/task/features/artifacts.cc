// artifacts: uploads what payload.artifacts names from the stopped container (taskcluster.md 1.5). What is missing or
// of another type becomes an error artifact and, unless it is optional, fails the task: a green task has what it
// promised.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/task/artifact_upload.h"
#include "agent/task/content_type.h"
#include "agent/task/feature.h"
#include "agent/task/one_line.h"
#include "base/json.h"
#include "engine/tar_reader.h"

namespace gantry::agent {
namespace {

using wire::ArtifactSpec;

Async<> announce_error(RunContext& run, std::string name, Time expires, std::string reason, std::string message) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("storageType", "error").field("expires", expires).field("reason", reason);
  out.field("message", message).end_object();
  co_await run.server.post_json(run.signer, artifact_path(run, name), body, request_timeout);
}

/// The part of an entry's name behind the directory that was asked for; empty for the directory itself or what would
/// leave it.
std::string relative_name(std::string_view entry) {
  auto slash = entry.find('/');
  std::string relative(slash == std::string_view::npos ? "" : entry.substr(slash + 1));
  bool leaves = relative.starts_with("../") || relative.find("/../") != std::string::npos || relative == "..";
  return leaves ? std::string() : relative;
}

class Artifacts : public Feature {
 public:
  Async<> stopped(RunContext& run) override {
    std::vector<std::string> failed;
    for (const ArtifactSpec& spec : run.payload.artifacts) {
      bool uploaded = co_await upload_with_retries(run, spec);
      if (!uploaded && !spec.optional) failed.push_back(spec.name);
    }
    if (!failed.empty()) {
      throw Error(ErrorCode::not_found, fmt::format("artifacts missing: {}", fmt::join(failed, ", ")));
    }
  }

 private:
  /// False if it cannot be had, which has been logged and recorded then.
  Async<bool> upload_with_retries(RunContext& run, ArtifactSpec spec) {
    Time expires = spec.expires.value_or(run.expires);
    Duration until = run.env.uptime() + report_patience;
    Duration delay = retry_delay_min;
    uploaded_.clear();
    for (;;) {
      std::optional<Error> failure;
      try {
        co_await upload(run, spec, expires);
      } catch (const Error& error) {
        failure = error;
      }
      if (!failure) co_return true;
      if (may_retry(*failure) && run.env.uptime() < until) {
        co_await run.env.sleep(delay);
        delay = std::min(delay * 2, retry_delay_max);
        continue;
      }
      // A server or an engine that is not there says nothing about the artifact.
      if (may_retry(*failure)) throw failure->in(fmt::format("artifact \"{}\"", spec.name));
      co_await give_up(run, spec, expires, *failure, until);
      co_return false;
    }
  }

  Async<> give_up(RunContext& run, ArtifactSpec spec, Time expires, Error failure, Duration until) {
    bool missing = failure.code() == ErrorCode::not_found;
    bool wrong_type = failure.code() == ErrorCode::invalid_input;
    std::string text = missing
                           ? fmt::format("Artifact \"{}\" not found at \"{}\"", spec.name, spec.path)
                           : fmt::format("Artifact \"{}\" from \"{}\": {}", spec.name, spec.path, failure.message());
    if (spec.optional) {
      co_await run.log.line(one_line(text) + " (it is optional)");
    } else {
      co_await run.log.error_line(one_line(text));
    }
    if (!missing && !wrong_type) co_return;
    std::string reason = missing ? "file-missing-on-worker" : "invalid-resource-on-worker";
    Duration delay = retry_delay_min;
    for (;;) {
      std::optional<Error> refusal;
      try {
        co_await announce_error(run, spec.name, expires, reason, text);
      } catch (const Error& error) {
        refusal = error;
      }
      if (!refusal) co_return;
      if (!may_retry(*refusal) || run.env.uptime() >= until) throw *refusal;
      co_await run.env.sleep(delay);
      delay = std::min(delay * 2, retry_delay_max);
    }
  }

  Async<> upload(RunContext& run, ArtifactSpec spec, Time expires) {
    if (spec.type == ArtifactSpec::Type::file) {
      auto file = co_await run.engine.open_file(run.container, spec.path);
      if (file) co_return co_await upload_body(run, spec.name, expires, std::move(file->body), file->bytes);
    }
    auto archive = co_await run.engine.copy_out(run.container, spec.path);
    auto tar = std::make_shared<engine::TarReader>(archive);
    auto first = co_await tar->next();
    bool directory = spec.type != ArtifactSpec::Type::file;
    auto wanted = directory ? engine::TarEntryType::directory : engine::TarEntryType::file;
    if (!first || first->type != wanted) {
      throw Error(ErrorCode::invalid_input, fmt::format("is not a {}", directory ? "directory" : "file"));
    }
    if (!directory) {
      co_await upload_body(run, spec.name, expires, engine::tar_entry_body(tar), first->bytes);
      co_return;
    }
    while (auto entry = co_await tar->next()) {
      std::string relative = relative_name(entry->name);
      if (entry->type != engine::TarEntryType::file || relative.empty()) continue;
      co_await upload_body(run, spec.name + "/" + relative, expires, engine::tar_entry_body(tar), entry->bytes);
    }
  }

  Async<> upload_body(RunContext& run, std::string name, Time expires, std::shared_ptr<net::BodyReader> body,
                      std::int64_t bytes) {
    if (uploaded_.contains(name)) co_return;
    std::string type = content_type_of(name);
    std::string url = co_await announce_artifact(run, name, type, expires, bytes);
    co_await put_artifact(run, std::move(url), name, type, std::move(body), bytes);
    uploaded_.insert(name);
  }

  std::set<std::string> uploaded_;  // of this artifact: an upload that is tried again need not send it again
};

}  // namespace

std::unique_ptr<Feature> make_artifacts() { return std::make_unique<Artifacts>(); }

}  // namespace gantry::agent

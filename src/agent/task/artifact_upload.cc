#include "agent/task/artifact_upload.h"

#include <filesystem>

#include <fmt/format.h>

#include "agent/limits.h"
#include "base/crypto.h"
#include "base/json.h"
#include "net/file_body.h"

namespace gantry::agent {
namespace {

/// A body that is summed up while it is read.
class SummedBody : public net::BodyReader {
 public:
  SummedBody(Env& env, std::shared_ptr<net::BodyReader> body, std::shared_ptr<Sha256> sum)
      : env_(env), body_(std::move(body)), sum_(std::move(sum)) {}

  Async<std::string> read_some() override {
    auto piece = std::make_shared<std::string>(co_await body_->read_some());
    co_await env_.blocking([piece, sum = sum_] { sum->update(*piece); });
    co_return std::move(*piece);
  }

 private:
  Env& env_;
  std::shared_ptr<net::BodyReader> body_;
  std::shared_ptr<Sha256> sum_;
};

}  // namespace

ScratchFile::~ScratchFile() {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

std::string artifact_path(const RunContext& run, const std::string& name) {
  return fmt::format("{}/artifacts/{}", queue_run_path(run.run), net::percent_encode(name));
}

Async<std::string> announce_artifact(RunContext& run, std::string name, std::string type, Time expires,
                                     std::int64_t bytes) {
  std::string body;
  JsonWriter out(body);
  out.begin_object().field("storageType", "s3").field("expires", expires).field("contentType", type);
  out.field("contentLength", bytes).end_object();
  std::string answer = co_await run.server.post_json(run.signer, artifact_path(run, name), body, request_timeout);
  json::value document = value_or_throw(parse_json(answer));
  co_return std::string(document.at("putUrl").as_string());
}

Async<> put_artifact(RunContext& run, std::string url, std::string name, std::string type,
                     std::shared_ptr<net::BodyReader> body, std::int64_t bytes) {
  if (!run.uploaded) {
    co_await run.server.put_url(std::move(url), std::move(type), std::move(body), bytes);
    co_return;
  }
  auto sum = std::make_shared<Sha256>();
  body = std::make_shared<SummedBody>(run.env, std::move(body), sum);
  co_await run.server.put_url(std::move(url), std::move(type), std::move(body), bytes);
  (*run.uploaded)[name] = hex(sum->finish());
}

Async<> upload_file(RunContext& run, std::string name, std::string type, std::string path, std::int64_t bytes,
                    std::optional<Time> expires) {
  Duration until = run.env.uptime() + report_patience;
  Duration delay = retry_delay_min;
  for (;;) {
    std::optional<Error> failure;
    try {
      std::string url = co_await announce_artifact(run, name, type, expires.value_or(run.expires), bytes);
      auto file = co_await run.env.blocking([path] { return net::open_to_read(path); });
      if (!file) throw Error(ErrorCode::corrupt, "a file to be uploaded cannot be read");
      auto content = net::file_body(run.env, std::move(file), 0, bytes, path);
      co_await put_artifact(run, std::move(url), name, type, std::move(content), bytes);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) co_return;
    if (!may_retry(*failure) || run.env.uptime() >= until) throw failure->in(fmt::format("artifact \"{}\"", name));
    co_await run.env.sleep(delay);
    delay = std::min(delay * 2, retry_delay_max);
  }
}

}  // namespace gantry::agent

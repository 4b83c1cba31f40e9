#include "agent/host/file_host.h"

#include "agent/host/limits.h"
#include "base/files.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr std::size_t settings_keys_max = 1000;

class FileHost : public Host {
 public:
  FileHost(Env& env, std::string path) : env_(env), path_(std::move(path)) {}

  Async<HostFacts> facts() override { co_return (co_await read()).facts; }

  Async<HostNotice> wait_for_notice() override {
    for (bool told = false;;) {
      std::optional<Error> failure;
      try {
        HostFile file = co_await read();
        if (file.notice) co_return *file.notice;
      } catch (const Error& error) {
        failure = error;
      }
      if (failure && !told) log_warning("cannot look for a notice: {}", failure->message());
      told = failure.has_value();
      co_await env_.sleep(notice_interval);
    }
  }

  Async<bool> shut_down() override { co_return false; }
  Async<> report_error(std::string, std::string) override { co_return; }

 private:
  Async<HostFile> read() {
    std::string text = co_await env_.blocking([path = path_] { return read_text_file(path, metadata_bytes_max); });
    auto file = parse_host_file(text);
    if (!file) throw file.error().in(path_);
    co_return std::move(file).value();
  }

  Env& env_;
  std::string path_;
};

}  // namespace

Result<HostFile> parse_host_file(std::string_view text) {
  TRY(json::value document, parse_json(text));
  HostFile file;
  ObjectReader in(document, "host file");
  const ObjectReader::TextRule rule{0, 255};
  file.facts.worker_id = in.text("workerId", rule, "");
  file.facts.worker_group = in.text("workerGroup", rule, "");
  file.facts.worker_type = in.text("workerType", rule, "");
  file.facts.node_type = in.text("workerNodeType", rule, "");
  file.facts.region = in.text("region", rule, "");
  file.facts.public_name = in.text("publicHostname", rule, "");
  if (const json::object* settings = in.object("settings", settings_keys_max)) file.facts.settings = *settings;
  if (auto time = in.time("terminationTime")) file.notice = notice_of_termination(format_time(*time));
  TRY(in.finish());
  return file;
}

std::shared_ptr<Host> make_file_host(Env& env, std::string path) {
  return std::make_shared<FileHost>(env, std::move(path));
}

}  // namespace gantry::agent

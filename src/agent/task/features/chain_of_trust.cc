// chainOfTrust: a signed record of what was run, where, and what it made (taskcluster.md 1.9): the log, the sums of all
// artifacts that the agent has uploaded, and a signature over them with the worker's own key.
#include <fstream>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "agent/images/image_store.h"
#include "agent/signing_key.h"
#include "agent/task/artifact_upload.h"
#include "agent/task/feature.h"
#include "base/json.h"

namespace gantry::agent {
namespace {

constexpr const char* log_name = "public/logs/certified.log";
constexpr const char* record_name = "public/chain-of-trust.json";
constexpr const char* signature_name = "public/chain-of-trust.json.sig";
constexpr std::string_view scratch_extension = "certified";
constexpr int record_version = 1;
/// The spool is read from one place at a time: the live log's reader goes first.
constexpr Duration live_log_patience = seconds(60);

std::int64_t append_to_file(std::ofstream& file, const std::string& bytes) {
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.flush();
  if (!file) throw Error(ErrorCode::unavailable, "cannot write a copy of the log: is the disk full?");
  return static_cast<std::int64_t>(bytes.size());
}

std::string record_of(const RunContext& run) {
  const RunSettings& settings = run.settings;
  std::string text;
  JsonWriter out(text);
  out.begin_object().field("chainOfTrustVersion", record_version);
  out.key("artifacts").begin_object();
  for (const auto& [name, sum] : *run.uploaded) out.key(name).begin_object().field("sha256", sum).end_object();
  out.end_object();
  out.key("task").raw(run.task ? json::serialize(*run.task) : "{}");
  out.field("taskId", run.run.task.to_string()).field("runId", run.run.run);
  out.field("workerGroup", settings.worker_group).field("workerId", settings.worker_id);
  out.key("environment").begin_object();
  out.field("publicIpAddress", settings.public_ip).field("privateIpAddress", "");
  out.field("imageHash", run.image ? run.image->id() : "");
  if (run.image && !run.image->archive_sha256().empty()) {
    out.field("imageArtifactHash", "sha256:" + run.image->archive_sha256());
  }
  out.field("instanceId", settings.worker_id).field("instanceType", "").field("region", "");
  out.end_object().end_object();
  return text;
}

class ChainOfTrust : public Feature {
 public:
  Async<> link(RunContext& run) override {
    if (!run.settings.signing_key) {
      throw Error(ErrorCode::unsupported, "this worker has no key to sign a chain of trust with",
                  "start its agent with --signing-key FILE");
    }
    run.uploaded.emplace();
    co_return;
  }

  Async<> killed(RunContext& run) override {
    if (!run.uploaded) co_return;  // link has refused
    std::optional<Error> late;
    try {
      if (run.log.started()) co_await run.log.flush(live_log_patience);
    } catch (const Error& error) {
      late = error;  // its owner waits for it once more, and says so
    }
    co_await certify_log(run);
    std::string record = record_of(run);
    std::string signature = run.settings.signing_key->sign(record);
    co_await upload_text(run, record_name, "application/json", std::move(record));
    co_await upload_text(run, signature_name, "application/octet-stream", std::move(signature));
  }

 private:
  static std::string scratch_path(const RunContext& run) {
    return run.settings.spool_directory + "/" + run_file_name(run.run, scratch_extension);
  }

  static Async<> certify_log(RunContext& run) {
    ScratchFile scratch(scratch_path(run));
    auto file = std::make_shared<std::ofstream>(scratch.path, std::ios::binary | std::ios::trunc);
    std::int64_t bytes = 0;
    for (;;) {
      auto piece = std::make_shared<std::string>(co_await run.log.read(bytes));
      if (piece->empty()) break;
      bytes += co_await run.env.blocking([file, piece] { return append_to_file(*file, *piece); });
    }
    co_await upload_file(run, log_name, "text/plain; charset=utf-8", scratch.path, bytes);
  }

  static Async<> upload_text(RunContext& run, std::string name, std::string type, std::string text) {
    ScratchFile scratch(scratch_path(run));
    auto file = std::make_shared<std::ofstream>(scratch.path, std::ios::binary | std::ios::trunc);
    auto shared = std::make_shared<const std::string>(std::move(text));
    std::int64_t bytes = co_await run.env.blocking([file, shared] { return append_to_file(*file, *shared); });
    co_await upload_file(run, std::move(name), std::move(type), scratch.path, bytes);
  }
};

}  // namespace

std::unique_ptr<Feature> make_chain_of_trust() { return std::make_unique<ChainOfTrust>(); }

}  // namespace gantry::agent

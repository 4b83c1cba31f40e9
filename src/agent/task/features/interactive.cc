// interactive: a shell in the running container, for whoever may read the artifact that leads to it
// (taskcluster.md 1.8). It is there as long as the task's own command runs: the container of one that has ended cannot
// be entered.
#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/shell/shell_desk.h"
#include "agent/shell/shell_session.h"
#include "agent/task/artifact_upload.h"
#include "agent/task/feature.h"
#include "base/json.h"
#include "wire/shell_messages.h"

namespace gantry::agent {
namespace {

class Interactive : public Feature {
 public:
  Interactive() = default;
  Interactive(const Interactive&) = delete;
  Interactive& operator=(const Interactive&) = delete;
  ~Interactive() override {
    if (desk_) desk_->remove(run_);
  }

  Async<> link(RunContext& run) override {
    run_ = run.run;
    desk_ = run.settings.shells;
    // The run owns both this and its scope, which ends every session.
    auto open = [&run](wire::ShellRequest request) {
      run.scope.spawn("shell", meet_shell(run.engine, run.server, run.settings.agent_signer, run.settings.agent_id,
                                          run.container, std::move(request)));
    };
    if (desk_) desk_->add(run_, open);
    co_return;
  }

  /// The artifact that people and Taskcluster's tools look for. Where it leads needs no rights but those to read it.
  Async<> created(RunContext& run) override {
    std::string body;
    JsonWriter out(body);
    out.begin_object().field("storageType", "reference").field("expires", run.expires);
    out.field("contentType", "application/json");
    out.field("url", fmt::format("{}{}/shell-page", run.server.root_url(), native_run_path(run.run))).end_object();
    std::string path = artifact_path(run, std::string(wire::shell_artifact));
    co_await run.server.post_json(run.signer, std::move(path), std::move(body), request_timeout);
  }

 private:
  ShellDesk* desk_ = nullptr;
  wire::RunRef run_;
};

}  // namespace

std::unique_ptr<Feature> make_interactive() { return std::make_unique<Interactive>(); }

}  // namespace gantry::agent

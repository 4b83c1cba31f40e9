#include "cli/commands/life_options.h"

#include <arpa/inet.h>

#include "cli/settings/agent_settings.h"

namespace gantry::cli {
namespace {

constexpr std::string_view on_stop_names[] = {"leave", "hand-back", "finish"};

void read_duration(const Arguments& arguments, std::string_view option, Duration& value) {
  if (arguments.has(option)) value = arguments.duration(option);
}

void read_text(const Arguments& arguments, std::string_view option, std::string& value) {
  if (arguments.has(option)) value = arguments.text(option);
}

}  // namespace

Option on_stop_option() { return setting_option("on-stop"); }

agent::OnStop on_stop_of(const Arguments& arguments) {
  std::string name = arguments.text("on-stop");
  if (name == on_stop_names[1]) return agent::OnStop::hand_back;
  return name == on_stop_names[2] ? agent::OnStop::finish : agent::OnStop::leave;
}

void read_life(const Arguments& arguments, agent::AgentSettings& settings) {
  settings.on_stop = on_stop_of(arguments);
  read_duration(arguments, "finish-within", settings.finish_within);
  read_text(arguments, "host", settings.host.kind);
  read_text(arguments, "host-file", settings.host.file);
  read_text(arguments, "metadata-url", settings.shutdown.metadata_url);
  settings.shutdown.enabled = arguments.flag("idle-shutdown");
  read_duration(arguments, "after-idle", settings.shutdown.after_idle);
  read_duration(arguments, "billing-cycle", settings.shutdown.billing_cycle);
  read_duration(arguments, "cycle-margin", settings.shutdown.cycle_margin);
  read_text(arguments, "shutdown-command", settings.shutdown.command);
  settings.task_host = arguments.text("task-host");
  settings.proxy_address = arguments.text("proxy-address");
  ::in_addr parsed{};
  bool good = settings.proxy_address.empty() || ::inet_pton(AF_INET, settings.proxy_address.c_str(), &parsed) == 1;
  if (!good) throw UsageError("--proxy-address: must be an IPv4 address of this machine");
}

}  // namespace gantry::cli

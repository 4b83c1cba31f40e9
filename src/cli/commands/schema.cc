// `gantry schema ...`: the JSON schema of payloads.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "cli/client.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "wire/aws_signature.h"
#include "wire/payload_keys.h"

namespace gantry::cli {
namespace {

constexpr std::string_view s3_scheme = "s3://";
constexpr std::size_t answer_shown_max = 300;

std::string schema_text() { return to_json_text(value_or_throw(parse_json(wire::payload_schema()))); }

int show(const Arguments&) {
  print(schema_text());
  return exit_ok;
}

int write_to_directory(const std::string& directory) {
  namespace fs = std::filesystem;
  fs::path path = fs::path(directory) / wire::payload_schema_path;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) {
    throw Error(ErrorCode::unavailable, fmt::format("cannot make {}: {}", path.parent_path().string(), error.message()),
                "choose another directory");
  }
  std::ofstream file(path);
  file << schema_text();
  file.close();
  if (!file) throw Error(ErrorCode::unavailable, fmt::format("cannot write {}", path.string()), "is the disk full?");
  print(path.string() + "\n");
  return exit_ok;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// A bucket, and how to reach it.
struct Bucket {
  net::Endpoint endpoint;
  std::string host;  // as in the Host header
  std::string path;  // of the schema: "/bucket/prefix/docker-worker/..."
  std::string region;
  wire::AwsCredentials credentials;
};

bool is_in_keys(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-_./").find(c) != std::string_view::npos;
}

Bucket bucket_of(const Arguments& arguments, std::string_view to) {
  Bucket bucket;
  to.remove_prefix(s3_scheme.size());
  while (to.ends_with('/')) to.remove_suffix(1);
  if (to.empty() || to.starts_with('/') || !std::ranges::all_of(to, is_in_keys)) {
    throw UsageError(fmt::format("\"{}{}\" names no bucket", s3_scheme, to),
                     "write s3://BUCKET or s3://BUCKET/PREFIX, with letters, digits and -_./ only");
  }
  bucket.path = fmt::format("/{}/{}", to, wire::payload_schema_path);
  bucket.credentials = {variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"),
                        variable("AWS_SESSION_TOKEN")};
  if (bucket.credentials.key_id.empty() || bucket.credentials.secret.empty()) {
    throw Error(ErrorCode::not_authenticated, "there are no credentials for the bucket",
                "set $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY (and $AWS_SESSION_TOKEN)");
  }
  bucket.region = arguments.has("region") ? arguments.text("region") : variable("AWS_REGION");
  if (bucket.region.empty()) bucket.region = "us-east-1";
  std::string url = arguments.has("endpoint") ? arguments.text("endpoint") : variable("AWS_ENDPOINT_URL");
  if (url.empty()) url = fmt::format("https://s3.{}.amazonaws.com", bucket.region);
  bucket.endpoint = parse_server_url(url, "");
  if (bucket.endpoint.kind != net::Endpoint::Kind::tcp) throw UsageError("--endpoint: must be an http(s):// URL");
  bucket.host = bucket.endpoint.host_header();
  return bucket;
}

/// The text of S3's <Message>, or the start of what was answered.
std::string words_of(const net::IncomingResponse& answer) {
  std::string_view body = answer.body;
  auto begin = body.find("<Message>");
  auto end = body.find("</Message>");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return std::string(body.substr(0, answer_shown_max));
  }
  return std::string(body.substr(begin + 9, end - begin - 9).substr(0, answer_shown_max));
}

Async<int> put_into(Env& env, Bucket bucket) {
  net::OutgoingRequest request;
  request.method = net::Method::put;
  request.target = bucket.path;
  request.body = schema_text();
  request.headers.add("host", bucket.host);
  request.headers.add("content-type", "application/json");
  wire::AwsRequest to_sign{"PUT", bucket.host, bucket.path, "", request.body};
  for (auto& [name, value] : wire::aws_headers(to_sign, bucket.credentials, bucket.region, "s3", env.now())) {
    request.headers.add(std::move(name), std::move(value));
  }
  auto transport = net::make_http_client(env, bucket.endpoint, 0);
  net::IncomingResponse answer = co_await transport->exchange(std::move(request));
  if (answer.status >= 300) {
    throw Error(net::error_code_of_status(answer.status),
                fmt::format("{}{}: the bucket's server answered {}: {}", bucket.endpoint.to_string(), bucket.path,
                            answer.status, words_of(answer)));
  }
  print(fmt::format("{}{}\n", bucket.endpoint.to_string(), bucket.path));
  co_return exit_ok;
}

int upload(const Arguments& arguments) {
  std::string to = arguments.argument("TO");
  if (!to.starts_with(s3_scheme)) return write_to_directory(to);
  Bucket bucket = bucket_of(arguments, to);
  return run_to_end([&](Env& env) { return put_into(env, bucket); });
}

}  // namespace

std::vector<Command> schema_commands() {
  return {
      {.path = "schema show",
       .summary = "Print the JSON schema of a task's payload",
       .details = "The same as a server has at /schemas/docker-worker/v1/payload.json.",
       .examples = {{"gantry schema show", "JSON Schema, draft 6."}},
       .run = show},
      {.path = "schema upload",
       .summary = "Write the schema to where it is published",
       .details = "Makes docker-worker/v1/payload.json in the directory or bucket, and prints where it is. For a "
                  "bucket, credentials are taken from $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY and "
                  "$AWS_SESSION_TOKEN.",
       .arguments = {{.name = "TO", .help = "a directory, or s3://BUCKET[/PREFIX]"}},
       .options = {{.name = "endpoint",
                    .value = "URL",
                    .help = "the bucket's server, if it is not Amazon's "
                            "(or $AWS_ENDPOINT_URL)"},
                   {.name = "region", .value = "NAME", .help = "of the bucket (or $AWS_REGION; us-east-1)"}},
       .examples = {{"gantry schema upload /var/www/schemas", "Next to those of other programs."},
                    {"gantry schema upload s3://schemas.example.com", "Into a bucket of Amazon's."},
                    {"gantry schema upload s3://schemas/ci --endpoint http://10.0.0.5:9000", "Into one of your own."}},
       .run = upload}};
}

}  // namespace gantry::cli

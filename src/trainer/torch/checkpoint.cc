#include "trainer/torch/checkpoint.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include "neural/safetensors.h"

namespace understudy::trainer {
namespace {

std::string bytes_of(const at::Tensor& tensor) {
  const at::Tensor whole = tensor.detach().contiguous();
  std::string bytes(static_cast<std::size_t>(whole.nbytes()), '\0');
  std::memcpy(bytes.data(), whole.const_data_ptr<float>(), bytes.size());
  return bytes;
}

neural::NewTensor named(std::string name, const at::Tensor& tensor) {
  neural::NewTensor result{std::move(name), "F32", {}, bytes_of(tensor)};
  for (const std::int64_t size : tensor.sizes()) result.shape.push_back(static_cast<std::size_t>(size));
  return result;
}

template <typename T>
neural::NewTensor numbers(std::string name, const char* type, const std::vector<T>& values) {
  return {std::move(name), type, {values.size()}, std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}

Unexpected io(const std::filesystem::path& path, const char* what) {
  return fail(ErrorKind::kIo, fmt::format("cannot {} {}: {}", what, path.string(), std::generic_category().message(errno)));
}

bool sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool done = ::fsync(fd) == 0;
  ::close(fd);
  return done;
}

}  // namespace

Result<void> write_checkpoint(const std::filesystem::path& path, std::string_view job, std::span<const Parameter> weights, const TrainingState& state) {
  std::vector<neural::NewTensor> tensors;
  tensors.push_back({"job", "U8", {job.size()}, std::string(job)});
  tensors.push_back(numbers<std::uint64_t>("counts", "U64", {state.step, state.best_step, state.worse, state.stopped_early ? 1u : 0u}));
  tensors.push_back(numbers<double>("metrics", "F64", {state.before, state.best_metric}));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    tensors.push_back(named("weight/" + weights[i].name, weights[i].value));
    tensors.push_back(named("first/" + weights[i].name, state.first_moments[i]));
    tensors.push_back(named("second/" + weights[i].name, state.second_moments[i]));
    if (!state.best.empty()) tensors.push_back(named("best/" + weights[i].name, state.best[i]));
  }
  const std::string bytes = neural::write_safetensors(tensors);
  const std::filesystem::path fresh = path.string() + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return io(fresh, "write");
  bool good = true;
  for (std::size_t at = 0; good && at < bytes.size();) {
    const auto wrote = ::write(fd, bytes.data() + at, bytes.size() - at);
    if (wrote < 0 && errno != EINTR) good = false;
    if (wrote > 0) at += static_cast<std::size_t>(wrote);
  }
  good = good && ::fsync(fd) == 0;
  const auto problem = good ? Result<void>() : io(fresh, "write");
  ::close(fd);
  if (!problem) return problem;
  if (::rename(fresh.c_str(), path.c_str()) != 0 || !sync_folder(path.parent_path())) return io(path, "replace");
  return {};
}

Result<bool> read_checkpoint(const std::filesystem::path& path, std::string_view job, std::span<Parameter> weights, TrainingState& state) {
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) return false;
  const auto file = neural::Safetensors::open(path);
  if (!file) return fail(file.error().kind, fmt::format("{}; remove {} to begin anew", file.error().message, path.parent_path().string()));
  const auto corrupt = [&](std::string_view what) {
    return fail(ErrorKind::kCorrupt, fmt::format("{} has no {}: remove {} to begin anew", path.string(), what, path.parent_path().string()));
  };
  const auto find = [&](const std::string& name, const char* type, std::size_t bytes) -> const neural::Tensor* {
    const neural::Tensor* tensor = file->find(name);
    return tensor != nullptr && tensor->type == type && (bytes == 0 || tensor->bytes.size() == bytes) ? tensor : nullptr;
  };
  const neural::Tensor* const of = find("job", "U8", 0);
  if (of == nullptr) return corrupt("job");
  if (of->bytes != job)
    return fail(ErrorKind::kConflict, fmt::format("{} is of another training: its settings, rows or base model differ. Remove {} to begin anew, or name another --out", path.string(),
                                                  path.parent_path().string()));
  std::uint64_t counts[4];
  double metrics[2];
  const neural::Tensor *const c = find("counts", "U64", sizeof counts), *const m = find("metrics", "F64", sizeof metrics);
  if (c == nullptr || m == nullptr) return corrupt("counts");
  std::memcpy(counts, c->bytes.data(), sizeof counts);
  std::memcpy(metrics, m->bytes.data(), sizeof metrics);
  state.step = counts[0], state.best_step = counts[1], state.worse = counts[2], state.stopped_early = counts[3] != 0;
  state.before = metrics[0], state.best_metric = metrics[1];

  const at::NoGradGuard no_grad;
  const bool has_best = !weights.empty() && file->find("best/" + weights[0].name) != nullptr;
  if (has_best) state.best.clear();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto take = [&](const char* kind, at::Tensor& to) {
      const neural::Tensor* tensor = find(kind + weights[i].name, "F32", static_cast<std::size_t>(to.nbytes()));
      if (tensor == nullptr) return false;
      std::memcpy(to.mutable_data_ptr<float>(), tensor->bytes.data(), tensor->bytes.size());
      return true;
    };
    if (has_best) state.best.push_back(at::empty_like(weights[i].value));
    if (!take("weight/", weights[i].value) || !take("first/", state.first_moments[i]) || !take("second/", state.second_moments[i]) ||
        (has_best && !take("best/", state.best[i])))
      return corrupt(weights[i].name);
  }
  return true;
}

}  // namespace understudy::trainer

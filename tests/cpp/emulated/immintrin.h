// AVX-512, and dot products of bytes, on CPUs that have AVX2 only: stands in for the compiler's
// header where the build option ALCS_EMULATE_X86 says so. SIMDe (SIMD Everywhere) has most of it;
// below is what the kernels use and the oldest version in use here, 0.7.4, lacks.
#ifndef ALCS_TESTS_EMULATED_IMMINTRIN_H_
#define ALCS_TESTS_EMULATED_IMMINTRIN_H_

#include_next <immintrin.h>

#define SIMDE_NO_INLINE  // or the unrolled kernels take minutes to compile
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

#include <cmath>
#include <cstring>

namespace alcs_emulated {

// What a masked load reads and a masked store writes: its chosen lanes alone.
template <class V, class T>
V MaskedLoad(V otherwise, unsigned mask, const T* from) {
  T lanes[sizeof(V) / sizeof(T)];
  std::memcpy(lanes, &otherwise, sizeof(V));
  for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i) {
    if ((mask >> i & 1U) != 0) std::memcpy(lanes + i, from + i, sizeof(T));
  }
  std::memcpy(&otherwise, lanes, sizeof(V));
  return otherwise;
}

template <class V, class T>
void MaskedStore(T* to, unsigned mask, V v) {
  T lanes[sizeof(V) / sizeof(T)];
  std::memcpy(lanes, &v, sizeof(V));
  for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i) {
    if ((mask >> i & 1U) != 0) std::memcpy(to + i, lanes + i, sizeof(T));
  }
}

template <class V>
V Expand(unsigned mask, V v) {
  int32_t from[sizeof(V) / 4], to[sizeof(V) / 4] = {};
  std::memcpy(from, &v, sizeof(V));
  for (unsigned i = 0, next = 0; i < sizeof(V) / 4; ++i) {
    if ((mask >> i & 1U) != 0) to[i] = from[next++];
  }
  std::memcpy(&v, to, sizeof(V));
  return v;
}

// The lanes of `low` from `count` on, and then those of `high`.
template <class V>
V AlignRight(V high, V low, int count) {
  int32_t lanes[2 * sizeof(V) / 4];
  std::memcpy(lanes, &low, sizeof(V));
  std::memcpy(lanes + sizeof(V) / 4, &high, sizeof(V));
  std::memcpy(&low, lanes + count, sizeof(V));
  return low;
}

inline simde__m512 ToFloats(simde__m512i v) {
  int32_t from[16];
  float to[16];
  std::memcpy(from, &v, sizeof(v));
  for (int i = 0; i < 16; ++i) to[i] = static_cast<float>(from[i]);
  simde__m512 result;
  std::memcpy(&result, to, sizeof(result));
  return result;
}

// To the nearest, ties to even: what the control register says unless someone changes it.
inline simde__m512i ToIntegers(simde__m512 v) {
  float from[16];
  int32_t to[16];
  std::memcpy(from, &v, sizeof(v));
  for (int i = 0; i < 16; ++i) to[i] = static_cast<int32_t>(std::nearbyint(from[i]));
  simde__m512i result;
  std::memcpy(&result, to, sizeof(result));
  return result;
}

inline const float* Floats(const void* p) { return static_cast<const float*>(p); }
inline float* Floats(void* p) { return static_cast<float*>(p); }

}  // namespace alcs_emulated

#define _mm_maskz_loadu_ps(mask, p) \
  alcs_emulated::MaskedLoad(_mm_setzero_ps(), mask, alcs_emulated::Floats(p))
#define _mm256_maskz_loadu_ps(mask, p) \
  alcs_emulated::MaskedLoad(_mm256_setzero_ps(), mask, alcs_emulated::Floats(p))
#define _mm512_maskz_loadu_ps(mask, p) \
  alcs_emulated::MaskedLoad(_mm512_setzero_ps(), mask, alcs_emulated::Floats(p))
#define _mm512_maskz_loadu_epi32(mask, p) \
  alcs_emulated::MaskedLoad(_mm512_setzero_si512(), mask, alcs_emulated::Floats(p))
#define _mm512_mask_loadu_epi32(otherwise, mask, p) \
  alcs_emulated::MaskedLoad(otherwise, mask, alcs_emulated::Floats(p))
#define _mm_mask_storeu_ps(p, mask, v) alcs_emulated::MaskedStore(alcs_emulated::Floats(p), mask, v)
#define _mm256_mask_storeu_ps(p, mask, v) \
  alcs_emulated::MaskedStore(alcs_emulated::Floats(p), mask, v)
#define _mm512_mask_storeu_ps(p, mask, v) \
  alcs_emulated::MaskedStore(alcs_emulated::Floats(p), mask, v)
#define _mm512_mask_storeu_epi32(p, mask, v) \
  alcs_emulated::MaskedStore(alcs_emulated::Floats(p), mask, v)
#define _mm512_maskz_expand_ps(mask, v) alcs_emulated::Expand(mask, v)
#define _mm512_maskz_expand_epi32(mask, v) alcs_emulated::Expand(mask, v)
#define _mm512_cvtepi32_ps(v) alcs_emulated::ToFloats(v)
#define _mm512_cvtps_epi32(v) alcs_emulated::ToIntegers(v)
#define __AVXVNNI__ 1
#define _mm256_dpbusd_avx_epi32(sum, a, b) simde_mm256_dpbusd_epi32(sum, a, b)
#define _mm256_dpwssd_avx_epi32(sum, a, b) simde_mm256_dpwssd_epi32(sum, a, b)
#undef _mm256_alignr_epi32
#define _mm256_alignr_epi32(high, low, count) alcs_emulated::AlignRight(high, low, count)
#undef _mm512_alignr_epi32
#define _mm512_alignr_epi32(high, low, count) alcs_emulated::AlignRight(high, low, count)

#endif  // ALCS_TESTS_EMULATED_IMMINTRIN_H_

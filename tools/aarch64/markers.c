// Marks the region whose instructions count_instructions.c counts. For 64-bit Arm.
void start_counting(void);
void stop_counting(void);

void start_counting(void) { __asm__ volatile("hint #0x50" ::: "memory"); }
void stop_counting(void) { __asm__ volatile("hint #0x51" ::: "memory"); }

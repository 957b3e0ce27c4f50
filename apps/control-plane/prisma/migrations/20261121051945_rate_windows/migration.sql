-- Unlogged: each attempt writes here, and a crash may forget the last minute.
CREATE UNLOGGED TABLE "rate_windows" (
    "project_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "address" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "count" INTEGER NOT NULL,

    CONSTRAINT "rate_windows_pkey" PRIMARY KEY ("project_id","kind","address")
);

-- CreateIndex
CREATE INDEX "rate_windows_started_at_idx" ON "rate_windows"("started_at");

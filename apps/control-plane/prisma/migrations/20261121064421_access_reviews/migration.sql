-- AlterTable
ALTER TABLE "principals" ADD COLUMN     "manager" TEXT;

-- CreateTable
CREATE TABLE "usage_days" (
    "project_id" UUID NOT NULL,
    "principal_id" UUID NOT NULL,
    "resource_id" UUID NOT NULL,
    "day" DATE NOT NULL,
    "kind" TEXT NOT NULL,
    "word" TEXT NOT NULL,
    "allowed" INTEGER NOT NULL DEFAULT 0,
    "held" INTEGER NOT NULL DEFAULT 0,
    "denied" INTEGER NOT NULL DEFAULT 0,
    "last_at" TIMESTAMPTZ(3) NOT NULL,
    "chain_id" UUID NOT NULL,
    "sequence" BIGINT NOT NULL,

    CONSTRAINT "usage_days_pkey" PRIMARY KEY ("principal_id","resource_id","day","kind","word")
);

-- CreateTable
CREATE TABLE "review_campaigns" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL DEFAULT '',
    "scope" JSONB NOT NULL,
    "reviewers" JSONB NOT NULL,
    "after_review" TEXT NOT NULL,
    "due_ms" BIGINT NOT NULL,
    "evidence_ms" BIGINT NOT NULL,
    "every" TEXT,
    "next_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "review_campaigns_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "review_rounds" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "campaign_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "deadline" TIMESTAMPTZ(3) NOT NULL,
    "evidence_from" TIMESTAMPTZ(3) NOT NULL,
    "lapsed_at" TIMESTAMPTZ(3),
    "closed_at" TIMESTAMPTZ(3),

    CONSTRAINT "review_rounds_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "review_items" (
    "id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "round_id" UUID NOT NULL,
    "grant_id" UUID NOT NULL,
    "grant_name" TEXT NOT NULL,
    "subject" JSONB NOT NULL,
    "holders" JSONB NOT NULL,
    "reviewers" JSONB NOT NULL,
    "evidence" JSONB NOT NULL,
    "proposal" TEXT NOT NULL,
    "proposal_effects" TEXT[],
    "proposal_reason" TEXT NOT NULL,
    "answer" TEXT,
    "answer_effects" TEXT[],
    "reason" TEXT,
    "answered_at" TIMESTAMPTZ(3),
    "answered_by_id" UUID,
    "answered_by_name" TEXT,
    "digest" TEXT,

    CONSTRAINT "review_items_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "grant_reviews" (
    "grant_id" UUID NOT NULL,
    "campaign_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "reviewed_until" TIMESTAMPTZ(3),
    "after_review" TEXT NOT NULL,
    "confirmed_at" TIMESTAMPTZ(3),
    "confirmed" TEXT[],
    "subject_digest" TEXT NOT NULL DEFAULT '',
    "item_id" UUID,

    CONSTRAINT "grant_reviews_pkey" PRIMARY KEY ("grant_id","campaign_id")
);

-- CreateTable
CREATE TABLE "drift_findings" (
    "project_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "target" TEXT NOT NULL,
    "first_seen_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "drift_findings_pkey" PRIMARY KEY ("project_id","key")
);

-- CreateIndex
CREATE INDEX "usage_days_project_id_day_idx" ON "usage_days"("project_id", "day");

-- CreateIndex
CREATE INDEX "review_campaigns_next_at_idx" ON "review_campaigns"("next_at");

-- CreateIndex
CREATE UNIQUE INDEX "review_campaigns_project_id_name_key" ON "review_campaigns"("project_id", "name");

-- CreateIndex
CREATE INDEX "review_rounds_project_id_closed_at_deadline_idx" ON "review_rounds"("project_id", "closed_at", "deadline");

-- CreateIndex
CREATE UNIQUE INDEX "review_rounds_project_id_campaign_id_number_key" ON "review_rounds"("project_id", "campaign_id", "number");

-- CreateIndex
CREATE INDEX "review_items_project_id_grant_id_idx" ON "review_items"("project_id", "grant_id");

-- CreateIndex
CREATE UNIQUE INDEX "review_items_project_id_round_id_grant_id_key" ON "review_items"("project_id", "round_id", "grant_id");

-- CreateIndex
CREATE INDEX "grant_reviews_project_id_idx" ON "grant_reviews"("project_id");

-- AddForeignKey
ALTER TABLE "review_rounds" ADD CONSTRAINT "review_rounds_campaign_id_fkey" FOREIGN KEY ("campaign_id") REFERENCES "review_campaigns"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "review_items" ADD CONSTRAINT "review_items_round_id_fkey" FOREIGN KEY ("round_id") REFERENCES "review_rounds"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "grant_reviews" ADD CONSTRAINT "grant_reviews_campaign_id_fkey" FOREIGN KEY ("campaign_id") REFERENCES "review_campaigns"("id") ON DELETE CASCADE ON UPDATE CASCADE;

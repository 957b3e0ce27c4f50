-- AlterTable
ALTER TABLE "principals" ADD COLUMN     "person_id" UUID;

-- CreateIndex
CREATE INDEX "principals_person_id_idx" ON "principals"("person_id");
